"""The audit log: who did what, when, from where."""

from typing import Any

from django.http import HttpRequest

from ftp_deploy.door import client_address
from ftp_deploy.models import AuditEntry, Service

HIDDEN = "***"
SECRET_WORDS = ("password", "passphrase", "token", "secret", "private_key", "key")
LONGEST_VALUE = 500


def record(who: Any, action: str, service: Service | None = None, subject: str = "", **detail: Any) -> AuditEntry:
    """Write down one action.

    ``who`` is the request of a page, a user, or None for the machinery itself. ``subject`` names what was acted on;
    without it the service does. ``detail`` is kept as JSON; a value whose name speaks of a secret is left out.
    """
    request = who if isinstance(who, HttpRequest) else None
    user = getattr(request, "user", None) if request else who
    known = user if user is not None and user.is_authenticated else None
    return AuditEntry.objects.create(
        user=known,
        user_name=known.get_username()[:150] if known else "",
        action=action[:50],
        service=service,
        subject=(subject or str(service or ""))[:255],
        detail={name: kept(name, value) for name, value in detail.items()},
        address=client_address(request) or None if request else None,
    )


def kept(name: str, value: Any) -> Any:
    """Return the form in which a value of ``detail`` is stored."""
    if any(name == word or name.endswith(f"_{word}") for word in SECRET_WORDS):
        return HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [kept(name, item) for item in list(value)[:100]]
    return str(value)[:LONGEST_VALUE]
