"""Django's settings; everything that differs between machines comes from the environment."""

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import dj_database_url
from django.utils.translation import gettext_lazy as _

from console.environ import flag, names
from console.home import CHECKOUT, Home

HOME = Home.from_environment()
HOME.prepare()
BASE_DIR = CHECKOUT

DEBUG = flag("DEBUG", default=False)
SECRET_KEY = os.environ.get("SECRET_KEY") or HOME.secret_key()

# --- what this console is and may do --------------------------------------------------------------

CONSOLE_ID = os.environ.get("CONSOLE_ID") or HOME.console_id()
CONSOLE_HOME: Path = HOME.root
ARTIFACT_ROOT: Path = HOME.artifacts
LOCAL_TARGET_ROOT: Path = HOME.local
SCORING_IMAGE_ROOT: Path = CHECKOUT / "scoring_image"
LOCAL_EXECUTION_ENABLED = flag("LOCAL_EXECUTION_ENABLED", default=True)
# How long pretend resources pretend to take, by the names of PaperConfig; empty for its own times.
PAPER_TARGET: dict[str, Any] = {}
MAX_ARTIFACT_BYTES = int(os.environ.get("MAX_ARTIFACT_BYTES") or 2 * 1024**3)

# --- where it is reached --------------------------------------------------------------------------

HOST = os.environ.get("HOST") or "127.0.0.1"
PORT = int(os.environ.get("PORT") or 8000)
# The address that people use, where it is not the server's own: `https://scoring.example.com` behind a proxy.
CONSOLE_URL = (os.environ.get("CONSOLE_URL") or f"http://{HOST}:{PORT}").rstrip("/")
BEHIND_TLS = urlsplit(CONSOLE_URL).scheme == "https"

ALLOWED_HOSTS = [
    *names("ALLOWED_HOSTS"),
    urlsplit(CONSOLE_URL).hostname or HOST,
    socket.gethostname(),
    "localhost",
    "127.0.0.1",
    "[::1]",
]
CSRF_TRUSTED_ORIGINS = [CONSOLE_URL] if BEHIND_TLS else []

# --- parts ----------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "console.apps.ConsoleConfig",
    "console.apps.ConsoleAdminConfig",
    "console.web",
    "console.api",
    "deployments",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "simple_history",
    "ninja",
]

MIDDLEWARE = [
    "console.api.request_ids.request_id_middleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "console.web.timezones.reader_timezone",
    "console.api.middleware.problem_middleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Before CSRF's look at the body all the same: that one comes when every middleware has let the request pass.
    "console.body_limit.body_limit_middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [CHECKOUT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- database -------------------------------------------------------------------------------------

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("DATABASE_URL") or f"sqlite:///{quote(str(HOME.database))}",
        conn_max_age=60,
        conn_health_checks=True,
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # A transaction takes its write lock when it begins: one that reads first and writes later would
        # otherwise fail at once, without waiting, when another process wrote in between.
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }

# --- sign-in and sessions -------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "web:home"
LOGOUT_REDIRECT_URL = "login"

# Cookies know no ports: two consoles on one machine would sign each other's users out.
SESSION_COOKIE_NAME = f"console_session_{CONSOLE_ID[:8]}"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_SAVE_EVERY_REQUEST = False
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS

# --- headers --------------------------------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if BEHIND_TLS else 0
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- what comes in --------------------------------------------------------------------------------

FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = HOME.uploads
FILE_UPLOAD_PERMISSIONS = 0o600
# A body that is held in memory: a test input or a spec; uploaded files do not count towards it.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024**2

# --- static files ---------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = HOME.static
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- languages and time ---------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("pt", _("Portuguese"))]
LOCALE_PATHS = [CHECKOUT / "console" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- background work ------------------------------------------------------------------------------

CELERY_BROKER_URL = (
    os.environ.get("BROKER_URL")
    or os.environ.get("REDIS_URL")
    or f"redis+socket://:{HOME.broker_password()}@{HOME.broker_socket}?virtual_host=0"
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A broker may serve several consoles; each listens to its own queue.
CELERY_TASK_DEFAULT_QUEUE = f"console-{CONSOLE_ID}"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
# A page that rings on commit must not hang on a broker that is away: beat rings again within a second or so.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
    "socket_connect_timeout": 2,
}
# A visit takes seconds; one that hangs is ended, and its lease lets the next ring take over.
CELERY_TASK_TIME_LIMIT = 300
CELERY_BEAT_SCHEDULE = {
    "ring-due": {
        "task": "deployments.tasks.ring_due",
        "schedule": 1.0,
        # While every worker is busy or down the rings would pile up; an old one has nothing to add.
        "options": {"expires": 3},
    },
    "look-around": {"task": "deployments.tasks.look_around", "schedule": 15.0, "options": {"expires": 10}},
    "forget-calls": {"task": "deployments.tasks.forget_calls", "schedule": 900.0, "options": {"expires": 600}},
}

# --- logs -----------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {request_id}: {message}", "style": "{"}},
    "filters": {"request_id": {"()": "console.api.request_ids.RequestIdFilter"}},
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "line",
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["stdout"], "level": os.environ.get("LOG_LEVEL") or "INFO"},
    "loggers": {
        "django": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        "azure": {"level": "WARNING"},
        # It would write the query of every test call.
        "httpx": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
