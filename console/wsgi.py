"""The WSGI entry point that the web server loads."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

application = get_wsgi_application()

# What is loaded now stays for good: forked workers keep sharing it, and none has to walk it when it ends.
gc.freeze()
