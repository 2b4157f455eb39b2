"""The console's settings in a home of their own, so that tests never touch a running console's state."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Set before the settings are read, and in the environment, so that a test's child processes see it.
_home = Path(tempfile.mkdtemp(prefix="console-test-"))
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["CONSOLE_HOME"] = str(_home)
for _name in ("DATABASE_URL", "BROKER_URL", "REDIS_URL", "CONSOLE_URL", "CONSOLE_ID", "DEBUG"):
    os.environ.pop(_name, None)

from console.settings import *  # noqa: E402, F403
from console.settings import DATABASES, STORAGES  # noqa: E402

# A file, not memory: crash tests open the same database from child processes.
DATABASES["default"]["TEST"] = {"NAME": str(_home / "test.sqlite3")}
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
