"""The commands that `manage.py` finds in the site."""
