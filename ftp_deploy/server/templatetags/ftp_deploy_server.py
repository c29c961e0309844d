"""Small marks of the pages: icons, times, sizes, commits, states."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.http import QueryDict
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ftp_deploy import deeds, notifications
from ftp_deploy.command_line import worker_command
from ftp_deploy.exceptions import EncryptionKeyError
from ftp_deploy.inspections import LABELS
from ftp_deploy.models import Deploy, Notification, Service
from ftp_deploy.server import marks

register = template.Library()

TURNS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""Characters that override the direction of text: a message could show itself as another one."""
FORGE_ICONS = {"github": "github", "gitlab": "gitlab"}


@register.simple_tag
def icon(name: str, label: str = "", css: str = "") -> SafeString:
    """Draw an icon. With ``label`` it speaks; without, it is hidden from screen readers."""
    source = static("ftp_deploy/vendor/bootstrap-icons/icons.svg")
    if label:
        return format_html(
            '<svg class="bi {}" role="img" aria-label="{}"><use href="{}#{}"></use></svg>', css, label, source, name
        )
    return format_html('<svg class="bi {}" aria-hidden="true"><use href="{}#{}"></use></svg>', css, source, name)


@register.simple_tag
def state_mark(deploy: Deploy) -> SafeString:
    """Draw a deploy's state: an icon of its own form, a colour, a word, and on hover what it means."""
    name, tone = marks.STATES[Deploy.State(deploy.state)]
    css = "spin" if deploy.state == Deploy.State.RUNNING else ""
    return format_html(
        '<span class="state state-{}" title="{}">{}<span>{}</span></span>',
        tone,
        marks.EXPLAINED[deploy.state],
        icon(name, css=css),
        capfirst(deploy.get_state_display()),
    )


@register.filter
def explained(deploy: Deploy) -> str:
    """Say what the state of a deploy means."""
    return str(marks.EXPLAINED[deploy.state])


@register.simple_tag
def status_icon(service: Service) -> SafeString:
    """Draw the icon of what the last check of a service found."""
    name, tone = marks.STATUSES[Service.Status(service.status)]
    return format_html('<span class="state state-{}">{}</span>', tone, icon(name))


register.simple_tag(marks.health_of, name="health")


@register.simple_tag
def forge_icon(provider: str) -> SafeString:
    """Draw the forge's mark, or git's where we have none."""
    return icon(FORGE_ICONS.get(provider, "git"))


@register.filter
def when(moment: datetime | None) -> SafeString:
    """Tell a time as people do, with the exact time on hover. A script keeps it fresh."""
    if moment is None:
        return mark_safe('<span class="text-body-secondary">–</span>')
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exactly(moment), ago(moment))


@register.filter
def clock(moment: datetime) -> SafeString:
    """Tell the time of day, with the exact time on hover."""
    shown = f"{timezone.localtime(moment):%H:%M:%S}"
    return format_html(
        '<time data-clock datetime="{}" title="{}">{}</time>', moment.isoformat(), exactly(moment), shown
    )


def exactly(moment: datetime) -> str:
    """Tell date, time and zone in words."""
    local = timezone.localtime(moment)
    return f"{date_format(local, 'DATETIME_FORMAT')} {local:%Z}"


def ago(moment: datetime) -> str:
    """Say how long ago ``moment`` was, in the largest fitting unit."""
    seconds = max(int((timezone.now() - moment).total_seconds()), 0)
    if seconds < 45:
        return _("just now")
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), round(seconds / 86400)
    if minutes < 60:
        return ngettext("%(n)s minute ago", "%(n)s minutes ago", minutes) % {"n": minutes}
    if hours < 24:
        return ngettext("%(n)s hour ago", "%(n)s hours ago", hours) % {"n": hours}
    if days < 15:
        return ngettext("%(n)s day ago", "%(n)s days ago", days) % {"n": days}
    return date_format(timezone.localtime(moment), "DATE_FORMAT")


@register.filter
def took(span: timedelta | float | None) -> str:
    """Tell a duration: ``0.8 s``, ``42 s``, ``3 min 5 s``, ``2 h 4 min``."""
    if span is None:
        return "–"
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if seconds < 10:
        return _("%(seconds)s s") % {"seconds": number_format(seconds, 1)}
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return _("%(seconds)s s") % {"seconds": rest}
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return _("%(days)s d %(hours)s h") % {"days": hours // 24, "hours": hours % 24}
    if hours:
        return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}
    return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}


@register.filter
def short(commit: str) -> str:
    """Return the first characters of a commit, as people write it."""
    return commit[:8]


@register.filter
def subject(message: str) -> str:
    """Return the first line of a commit message, without the marks that turn the direction of what follows."""
    return message.strip().partition("\n")[0].translate(TURNS) or _("(no message)")


@register.filter
def headline(deploy: Deploy) -> str:
    """Return the subject of a deploy's newest commit, or of the newest that a search was for."""
    commit = getattr(deploy, "searched_commit", None) or deploy.commits[-1]
    return subject(str(commit.get("message", "")))


@register.filter
def check_label(name: str) -> str:
    """Return what people call a check, in the viewer's language."""
    return str(LABELS.get(name, name))


@register.filter
def channels(notification: Notification) -> list[str]:
    """Name the channels and the webhook of a set, without their tokens; nothing where they cannot be read."""
    try:
        return notifications.channel_labels(notification)
    except EncryptionKeyError:
        return []


register.simple_tag(worker_command)
register.filter("action_label", deeds.action_label)
register.filter("details", deeds.details)


@register.simple_tag(takes_context=True)
def query(context: Mapping[str, Any], **changes: Any) -> str:
    """Return the page's query string with some values changed; None or empty removes one."""
    given = context["request"].GET
    values = given.copy() if isinstance(given, QueryDict) else QueryDict(mutable=True)
    for name, value in changes.items():
        if value in (None, ""):
            values.pop(name, None)
        else:
            values[name] = str(value)
    encoded = values.urlencode()
    return f"?{encoded}" if encoded else "?"
