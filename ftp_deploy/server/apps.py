"""The dashboard's app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FTPDeployServerConfig(AppConfig):
    """``ftp_deploy.server`` in ``INSTALLED_APPS``."""

    name = "ftp_deploy.server"
    label = "ftp_deploy_server"
    verbose_name = _("FTP Deploy Server")
