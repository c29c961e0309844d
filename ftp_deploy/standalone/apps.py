"""The app configuration of the ready Django project: its templates and checks."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FTPDeployStandaloneConfig(AppConfig):
    """``ftp_deploy.standalone`` in ``INSTALLED_APPS``; only the ready project lists it."""

    name = "ftp_deploy.standalone"
    label = "ftp_deploy_standalone"
    verbose_name = _("FTP Deploy, stand-alone")

    def ready(self) -> None:
        """Make the app's Celery app the current one, so that the web process publishes where the worker listens."""
        if find_spec("ftp_deploy.celery"):
            import_module("ftp_deploy.celery")
