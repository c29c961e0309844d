"""The Django app configuration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class FTPDeployConfig(AppConfig):
    """``ftp_deploy`` in ``INSTALLED_APPS``."""

    name = "ftp_deploy"
    label = "ftp_deploy"
    verbose_name = _("FTP Deploy")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks and the groups, and bring a Celery app to projects that have none."""
        from celery import _state

        from ftp_deploy import checks  # noqa: F401 - importing registers them
        from ftp_deploy.access import make_groups
        from ftp_deploy.notifications import service_status  # noqa: F401 - importing connects it

        post_migrate.connect(make_groups, sender=self, dispatch_uid="ftp_deploy.groups")

        if _state.default_app is None:
            from ftp_deploy import celery  # noqa: F401 - importing makes it the default app
        from ftp_deploy import tasks  # noqa: F401 - importing registers them with whichever app there is
