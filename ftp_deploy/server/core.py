"""What several views ask of the rest of the app: the audit log and the checks."""

from importlib import import_module
from typing import Any

from django.http import HttpRequest

from ftp_deploy import tasks
from ftp_deploy.models import AuditEntry, Service


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
    tasks.send("ftp_deploy.validate", service.pk)
