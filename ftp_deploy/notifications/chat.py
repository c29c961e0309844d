"""Channels of every kind through Apprise; the only module that knows it."""

import functools
import logging
import warnings
from contextlib import nullcontext, suppress
from typing import Any
from urllib.parse import urlsplit

from django.template.loader import render_to_string

from ftp_deploy.conf import conf
from ftp_deploy.exceptions import ConnectionFailed, NotSent
from ftp_deploy.models import Message
from ftp_deploy.models.message import Event
from ftp_deploy.notifications.content import context_of, subject_of
from ftp_deploy.transports.addresses import resolve

LOCAL_SCHEMES = frozenset({"dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "syslog"})
"""Ways that end on the worker's own screen or log."""
FILE_OPTIONS = frozenset({"keyfile", "subfile", "pgppub", "pgpprv"})
"""Options of addresses that name a file of the worker's machine, or a URL that it reads."""
HOSTLESS_MODES = frozenset({"cloud", "t2bot"})
"""Modes of channels of well-known services: a topic or token stands where others have the host."""


def urls(channels: str) -> list[str]:
    """Return the addresses of a set: one a line, blank lines and those that begin with # left out."""
    lines = (line.strip() for line in channels.splitlines())
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def label(url: str) -> str:
    """Return what may be shown of an address: its kind, never its tokens."""
    return f"{urlsplit(url).scheme or '?'}://…"


def problem(url: str) -> str:
    """Return what is wrong with an address, in a sentence without the address; empty where it can be used."""
    scheme = urlsplit(url).scheme.lower()
    if scheme in LOCAL_SCHEMES:
        return f"{label(url)} would notify the screen of a worker."
    if FILE_OPTIONS & _options(url):
        return f"{label(url)} names a file of the worker's machine."
    channel = _open(url)
    if channel is None:
        return f"{label(url)} is not an address that Apprise knows."
    return f"{label(url)} names a template, a file of the worker's machine." if _has_file(channel) else ""


def _options(url: str) -> set[str]:
    """Return the names of the options in an address, as Apprise reads them."""
    found = _apprise().plugins.url_to_dict(url, secure_logging=True) or {}
    return {str(name).lower() for name in found.get("qsd") or ()}


def _has_file(channel: Any) -> bool:
    """Whether a channel would read a file or another URL, and send what is in it: the templates of some do."""
    kind = _apprise().AppriseAttachment
    return any(isinstance(value, kind) and len(value) > 0 for value in vars(channel).values())


@functools.cache
def _apprise() -> Any:
    """Load Apprise with all its channels when it is first needed: that takes half a second.

    Some channels import modules that Python is about to drop, and say so; its log lines hold addresses with tokens.
    """
    logging.getLogger("apprise").addFilter(lambda record: record.levelno >= logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise

        apprise.Apprise.instantiate("json://localhost")
    return apprise


def _open(url: str) -> Any:
    return _apprise().Apprise.instantiate(url, suppress_exceptions=True)


def send(message: Message) -> None:
    """Send one message to one channel. Raises ``NotSent``."""
    context = context_of(message)
    body = render_to_string("ftp_deploy/channel.txt", context).strip()
    post(message.address, subject_of(message, context), body, _kind(message.event))


def post(url: str, title: str, body: str, kind: str = "info") -> None:
    """Send a text to an Apprise address. Raises ``NotSent``, transient where a later try may help."""
    wrong = problem(url)
    if wrong:
        raise NotSent(wrong, advice="Mend the channels of the notification.")
    apprise = _apprise()
    channel = _open(url)
    _check_host(channel)
    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="FTP Deploy", async_mode=False))
    sender.add(channel)
    if not sender.notify(title=title, body=body, notify_type=apprise.NotifyType(kind)):
        raise NotSent(f"{label(url)} did not take the message.", transient=True, advice="Check its address.")


def _check_host(channel: Any) -> None:
    """Refuse a channel on an address that services may not point at either, and redirects that could lead there.

    Channels of well-known services have a token where others have the host: it is not looked up. Where it cannot be
    told which of them it is, a name that leads inside is refused, and one that leads nowhere is not.
    """
    channel.redirects = channel.redirects and conf.ALLOW_PRIVATE_ADDRESSES
    if getattr(channel, "mode", None) in HOSTLESS_MODES:
        return
    has_host = any("{host}" in form for form in channel.templates)
    for host in (getattr(channel, "host", None), getattr(channel, "smtp_host", None)):
        if isinstance(host, str) and (has_host or "." in host) and host:
            with nullcontext() if has_host else suppress(ConnectionFailed):
                resolve(host, int(getattr(channel, "port", None) or 443), allow_private=conf.ALLOW_PRIVATE_ADDRESSES)


def _kind(event: str) -> str:
    if event in (Event.FAIL, Event.SERVICE_FAILING):
        return "failure"
    return "info" if event == Event.TEST else "success"
