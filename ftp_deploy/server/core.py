"""The doors to the rest of the app: what the dashboard asks the core to do.

Views call these and nothing deeper, so that a page never holds more than the words of an action.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

from django.http import HttpRequest

from ftp_deploy.models import AuditEntry, Service


def queue() -> ModuleType:
    """Return ``ftp_deploy.deploys.queue``: how deploys come to be."""
    return import_module("ftp_deploy.deploys.queue")


def restoring() -> ModuleType:
    """Return ``ftp_deploy.deploys.restore``: restore, skip, roll back, and their previews."""
    return import_module("ftp_deploy.deploys.restore")


def tasks() -> ModuleType:
    """Return ``ftp_deploy.tasks``."""
    return import_module("ftp_deploy.tasks")


def record(request: HttpRequest, action: str, service: Service | None = None, subject: str = "", **detail: Any) -> None:
    """Write down who did what, when and from where."""
    user = request.user if request.user.is_authenticated else None
    AuditEntry.objects.create(
        user=user,
        user_name=user.get_username() if user else "",
        action=action,
        service=service,
        subject=(subject or str(service or ""))[:255],
        detail=detail,
        address=request.META.get("REMOTE_ADDR") or None,
    )


def validate(service: Service) -> None:
    """Run the checks of a service now; takes up to 15 seconds."""
    import_module("ftp_deploy.validation").validate(service)


def validate_later(service: Service) -> None:
    """Have the checks of a service run by a worker."""
    work = tasks()
    work.send(work.validate, service.pk)
