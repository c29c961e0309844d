"""The Django app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FTPDeployConfig(AppConfig):
    """``ftp_deploy`` in ``INSTALLED_APPS``."""

    name = "ftp_deploy"
    label = "ftp_deploy"
    verbose_name = _("FTP Deploy")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from ftp_deploy import checks  # noqa: F401 - importing registers them
