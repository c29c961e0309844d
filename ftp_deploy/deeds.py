"""What the audit log keeps as codes, in the viewer's language: the actions, and what they were done to."""

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from ftp_deploy.models import Service

ACTIONS = {
    "deploy": _("Deploy"),
    "retry": _("Retry"),
    "cancel": _("Cancel"),
    "skip": _("Skip"),
    "restore": _("Restore"),
    "roll back": _("Roll back"),
    "confirm deletes": _("Confirm the deletes"),
    "check": _("Check"),
    "verify": _("Verify"),
    "add hook": _("Add hook"),
    "accept fingerprint": _("Accept fingerprint"),
    "switch on": _("Switch on"),
    "switch off": _("Switch off"),
    "renew keys": _("Renew the keys"),
    "change notification": _("Change the notification"),
    "add service": _("Add service"),
    "edit service": _("Edit service"),
    "delete service": _("Delete service"),
    "add notification": _("Add notification"),
    "edit notification": _("Edit notification"),
    "delete notification": _("Delete notification"),
    "send test": _("Send a test"),
    "add account": _("Add account"),
    "edit account": _("Edit account"),
    "delete account": _("Delete account"),
    "try account": _("Try account"),
    "repository renamed": _("Repository renamed"),
}
DETAILS = {
    "fields": _("fields"),
    "to": _("to"),
    "full": _("every file"),
    "differing": _("differing files"),
    "new_name": _("new name"),
    "deploy": _("deploy"),
}


def action_label(action: str) -> str:
    """Return what people call an action; one that is not known stays as it is."""
    return str(ACTIONS.get(action, action))


def field_label(name: str) -> str:
    """Return what the form calls a field of a service; a name that is none stays as it is."""
    try:
        field = Service._meta.get_field(name)
    except FieldDoesNotExist:
        return name
    return str(getattr(field, "verbose_name", name))


def details(kept: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the details of an entry, deploy left out, as name and value; a plain yes needs no value, a no no line."""
    found = []
    for name, value in kept.items():
        if name == "deploy" or value in (None, "", False, []):
            continue
        if isinstance(value, list):
            text = ", ".join(field_label(str(item)) if name == "fields" else str(item) for item in value)
        else:
            text = "" if value is True else str(value)
        found.append((capfirst(str(DETAILS[name]) if name in DETAILS else field_label(name)), text))
    return found
