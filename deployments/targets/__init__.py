"""Kinds of places where functions run; they know no Django, no Celery and not each other."""
