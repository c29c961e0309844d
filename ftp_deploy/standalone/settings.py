"""The settings of the ready Django project. Everything a site may want to change comes from the environment.

See ``ftp_deploy.standalone.environment`` for where values come from; ``docs/reference/environment`` lists them all.
"""

import logging
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django.conf import global_settings

from ftp_deploy.standalone.environment import (
    Environment,
    app_settings,
    broker_address,
    data_folder,
    database_settings,
    mail_settings,
    one_of,
    public_address,
    read_settings_file,
    stored_secret_key,
    unknown_names,
)

settings_file = read_settings_file()
DATA_FOLDER = data_folder()
env = Environment()

# Who we are
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or stored_secret_key(DATA_FOLDER)
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
BASE_URL = env.str("BASE_URL", default="").rstrip("/")
BASE = public_address(BASE_URL)
HTTPS = BASE.scheme == "https"
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[BASE.hostname] if BASE.hostname else [])
ALLOWED_HOSTS = [*ALLOWED_HOSTS, "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [f"{BASE.scheme}://{BASE.netloc}"] if BASE.hostname else []
FORCE_SCRIPT_NAME = BASE.path or None
FTP_DEPLOY_BASE_URL = BASE_URL

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "axes",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "crispy_forms",
    "crispy_bootstrap5",
    "ftp_deploy",
    "ftp_deploy.server",
    "ftp_deploy.standalone",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "ftp_deploy.standalone.middleware.content_security_policy",
    "ftp_deploy.standalone.static_files.StaticFiles",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "ftp_deploy.standalone.middleware.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "ftp_deploy.standalone.urls"
WSGI_APPLICATION = "ftp_deploy.standalone.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [DATA_FOLDER / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"
SILENCED_SYSTEM_CHECKS = (
    ["security.W004"] if HTTPS else ["security.W004", "security.W008", "security.W012", "security.W016"]
)
if not env.str("SECRET_KEY", default=""):
    SILENCED_SYSTEM_CHECKS.append("ftp_deploy.W001")  # our key was made for this, and its file is nobody else's

# Where things are kept
DATABASES: dict[str, dict[str, Any]] = {"default": database_settings(env, DATA_FOLDER / "database.sqlite3")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A transaction that will write takes the lock at once and waits for it; WAL lets readers go on meanwhile.
    # synchronous=FULL: a push that was answered 2xx survives a power cut.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Messages between web and worker: they only wake, so files will do until there is a reason for a server.
broker_url = broker_address(env)
if broker_url:
    CELERY_BROKER_URL = broker_url
FTP_DEPLOY_BROKER_DIRECTORY = str(DATA_FOLDER / "broker")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# People
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_URL = "ftpdeploy_login"
LOGIN_REDIRECT_URL = "ftpdeploy_dashboard"
LOGOUT_REDIRECT_URL = "ftpdeploy_login"
# Guessing passwords: after so many failures an address may not log in to that account for a while.
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES", default=10)
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "ftp_deploy.standalone.pages.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
LANGUAGE_CODE = one_of(env, "LANGUAGE_CODE", "en", dict(global_settings.LANGUAGES), "a language such as pl")
TIME_ZONE = one_of(env, "TIME_ZONE", "UTC", available_timezones(), "a time zone such as Europe/Warsaw")
USE_TZ = True
vars().update(mail_settings(env))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default=f"ftp-deploy@{BASE.hostname or 'localhost'}")
EMAIL_TIMEOUT = 30

# Headers
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{BASE.path}/"  # not for what else lives on the same host
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=3600) * HTTPS
SECURE_SSL_REDIRECT = False  # the proxy that speaks TLS redirects; health checks come without TLS
TRUSTED_PROXY = env.str("TRUSTED_PROXY", default="127.0.0.1" if HTTPS else "")
CSRF_FAILURE_VIEW = "ftp_deploy.standalone.pages.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = env.str("CONTENT_SECURITY_POLICY", default="")
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# Static files come out of the package itself; nothing has to be collected.
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 30 * 24 * 3600  # seconds: the addresses change with the files
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "ftp_deploy.standalone.static_files.VersionedFiles"},
}

LOG_LEVEL = one_of(env, "LOG_LEVEL", "INFO", logging.getLevelNamesMapping(), "DEBUG, INFO, WARNING or ERROR")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # strangers try names all day; the page tells people
        "asyncssh": {"level": "WARNING"},
        "kombu.connection": {"level": "ERROR"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.worker.consumer.connection": {"level": "INFO" if broker_url else "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "waitress.queue": {"level": "ERROR"},
    },
}

vars().update(app_settings(env))
UNKNOWN_NAMES = unknown_names(settings_file, env.asked) if settings_file else []
