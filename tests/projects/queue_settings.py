"""Settings of a small project whose web and worker processes are real; what differs is in the environment.

``DATABASE_URL`` (postgresql://user@host:port/name, or sqlite:///path), ``BROKER_URL`` (empty: the embedded broker),
``PROJECT_FOLDER``, ``PROJECT_SETTINGS`` (JSON: further settings by name), ``SQLITE_MODE`` (IMMEDIATE or DEFERRED).
"""

import json
import os

from tests.projects.databases import database
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as ALL_APPS

FOLDER = os.environ["PROJECT_FOLDER"]

DATABASES = {"default": {**database(os.environ["DATABASE_URL"]), "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}}
if os.environ.get("OLD_DATABASE_URL"):  # a site of 2.x beside it
    DATABASES["old"] = database(os.environ["OLD_DATABASE_URL"])
INSTALLED_APPS = [name for name in ALL_APPS if not name.startswith("crispy") and name != "ftp_deploy.server"]
INSTALLED_APPS.append("tests.projects.failpoints.apps.FailpointsConfig")
ROOT_URLCONF = "tests.projects.queue_urls"
SECRET_KEY = "only-for-tests"
WSGI_APPLICATION = None
CELERY_BROKER_URL = os.environ.get("BROKER_URL", "")
FTP_DEPLOY_BROKER_DIRECTORY = os.path.join(FOLDER, "broker")
FTP_DEPLOY_SPOOL_DIRECTORY = os.path.join(FOLDER, "spool")
FTP_DEPLOY_WEBHOOK_RATE = 0
FTP_DEPLOY_VALIDATE_SECONDS = 0
FTP_DEPLOY_RECONCILE_SECONDS = 0
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware"]
MIDDLEWARE += ["django.contrib.auth.middleware.AuthenticationMiddleware"]
MIDDLEWARE += ["django.contrib.messages.middleware.MessageMiddleware"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
globals().update(json.loads(os.environ.get("PROJECT_SETTINGS", "{}")))
