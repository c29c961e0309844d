"""Rows for tests, with sensible values for everything that a test does not care about."""

from typing import Any

from django.utils import timezone

from ftp_deploy.models import Address, Deploy, Notification, Service

COMMITS = [
    {"id": "a" * 40, "message": "Add a page", "author_name": "Builder", "author_email": "builder@example.com"},
    {"id": "b" * 40, "message": "Fix the page", "author_name": "Designer", "author_email": "designer@example.com"},
]


def make_service(**values: Any) -> Service:
    defaults: dict[str, Any] = {
        "host": "ftp.example.com",
        "username": "web",
        "password": "canary-password",
        "repository_name": "site",
        "repository_slug": "owner/site",
    }
    return Service.objects.create(**(defaults | values))


def make_deploy(service: Service | None = None, **values: Any) -> Deploy:
    defaults: dict[str, Any] = {
        "state": Deploy.State.SUCCEEDED,
        "before": "0" * 40,
        "after": "b" * 40,
        "commits": COMMITS,
        "user_name": "builder",
        "user_email": "builder@example.com",
        "provider": "github",
        "branch": "main",
    }
    values = defaults | values
    if values["state"] not in (Deploy.State.QUEUED, Deploy.State.RUNNING):
        values.setdefault("finished_at", timezone.now())
    return Deploy.objects.create(service=service or make_service(), **values)


def make_notification(*addresses: tuple[str, bool, bool], **values: Any) -> Notification:
    """Make a set; each address is ``(e-mail, on success, on failure)``."""
    notification = Notification.objects.create(**({"name": "everybody"} | values))
    for email, success, fail in addresses:
        Address.objects.create(notification=notification, email=email, on_success=success, on_fail=fail)
    return notification
