"""What the pages draw for a state: an icon, a tone, and the words that explain it."""

from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ftp_deploy.models import Deploy, Service

STATES = {
    Deploy.State.QUEUED: ("hourglass-split", "muted"),
    Deploy.State.RUNNING: ("gear-wide-connected", "running"),
    Deploy.State.SUCCEEDED: ("check-circle-fill", "good"),
    Deploy.State.FAILED: ("x-circle-fill", "bad"),
    Deploy.State.SKIPPED: ("skip-forward-fill", "warn"),
    Deploy.State.RESTORED: ("check2-circle", "good"),
    Deploy.State.CANCELLED: ("slash-circle", "muted"),
    Deploy.State.SUPERSEDED: ("layers", "muted"),
}
"""Icon and tone of each state of a deploy."""
EXPLAINED: dict[str, Any] = {
    Deploy.State.QUEUED: gettext_lazy("Stored, and waiting for a worker."),
    Deploy.State.RUNNING: gettext_lazy("A worker is on it."),
    Deploy.State.SUCCEEDED: gettext_lazy("Its commit went live."),
    Deploy.State.FAILED: gettext_lazy("It did not go live. The next push, a retry or a restore carries its changes."),
    Deploy.State.SKIPPED: gettext_lazy("It failed, and somebody decided that the server is fine as it is."),
    Deploy.State.RESTORED: gettext_lazy("It failed at first; a later deploy put its changes live."),
    Deploy.State.CANCELLED: gettext_lazy("Somebody stopped it before anything was switched."),
    Deploy.State.SUPERSEDED: gettext_lazy("It came late: what was live by then was newer, so nothing was changed."),
}
"""What each state means, for people."""
STATUSES = {
    Service.Status.OK: ("check-circle-fill", "good"),
    Service.Status.FAILING: ("exclamation-triangle-fill", "bad"),
    Service.Status.UNKNOWN: ("question-circle", "muted"),
}
"""Icon and tone of what the last check of a service found."""


class Health(NamedTuple):
    """How a service is: one mark for its switch, its last check and its failed deploys. ``label`` is short."""

    icon: str
    tone: str
    label: str
    words: str


def health_of(service: Service, failed: int = 0) -> Health:
    """Return the mark of a service of whose deploys ``failed`` wait to be restored or skipped."""
    if not service.enabled:
        words = _("Switched off: pushes are answered, but nothing is deployed.")
        return Health("pause-fill", "muted", _("switched off"), words)
    icon, tone = STATUSES[Service.Status(service.status)]
    label = str(service.get_status_display())
    if service.status == Service.Status.FAILING:
        return Health(icon, tone, label, service.status_message or label)
    checked = _("Not checked yet")
    if service.status == Service.Status.OK and service.checked_at:
        date = date_format(timezone.localtime(service.checked_at), "DATETIME_FORMAT")
        checked = _("All checks passed, %(date)s") % {"date": date}
    if not failed:
        return Health(icon, tone, label, checked)
    waits = ngettext("%(n)s failed deploy waits", "%(n)s failed deploys wait", failed) % {"n": failed}
    return Health(*STATES[Deploy.State.FAILED], waits, f"{waits}\n{checked}")
