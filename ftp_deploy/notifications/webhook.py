"""Outgoing webhooks: outcomes as JSON, signed as the Standard Webhooks specification says.

Headers: ``webhook-id`` (the same at every try of a message), ``webhook-timestamp`` (seconds), ``webhook-signature``
(``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body`` with the secret's decoded bytes). The body is
``{"type", "timestamp", "data"}``; see ``body_of``.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlsplit

from ftp_deploy import links
from ftp_deploy.calls import call
from ftp_deploy.exceptions import CallFailed, NotSent
from ftp_deploy.models import Message, Notification
from ftp_deploy.models.message import Event
from ftp_deploy.models.notification import WEBHOOK_SECRET_PREFIX

TYPES = {
    Event.SUCCESS: "deploy.success",
    Event.RECOVERED: "deploy.recovered",
    Event.FAIL: "deploy.fail",
    Event.SERVICE_FAILING: "service.failing",
    Event.SERVICE_OK: "service.ok",
    Event.TEST: "test",
}
GONE = 410
"""The status by which a receiver says that it wants no more."""


def label(url: str) -> str:
    """Return what may be shown of an address: scheme and host; the rest may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or '?'}/…"


def send(message: Message) -> None:
    """Send one message to its webhook. Raises ``NotSent``, transient unless the receiver is gone (410)."""
    notification = message.service.notification
    if notification is None:
        raise NotSent("The service has no notification any more.")
    post(notification, message.address, f"msg_{message.pk}", body_of(message))


def post(notification: Notification, url: str, identity: str, body: dict[str, Any]) -> None:
    """Sign ``body`` and post it. Raises ``NotSent``."""
    raw = json.dumps(body, ensure_ascii=False).encode()
    stamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": stamp,
        "webhook-signature": signature(notification.webhook_secret, identity, stamp, raw),
    }
    try:
        answer = call("POST", url, headers=headers, body=raw)
    except CallFailed as error:
        raise NotSent(error.message, transient=error.transient, advice=error.advice) from None
    if answer.status == GONE:
        raise NotSent("The webhook's receiver answered 410: it wants no more messages.")
    if not answer.ok:
        raise NotSent(f"The webhook's receiver answered {answer.status}.", transient=True)


def signature(secret: str, identity: str, stamp: str, body: bytes) -> str:
    """Return the value of ``webhook-signature``. Raises ``NotSent`` where there is no usable secret."""
    try:
        key = base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise NotSent(
            "The webhook secret cannot sign.",
            advice=f"Enter {WEBHOOK_SECRET_PREFIX} and base64 of at least 24 random bytes.",
        )
    digest = hmac.new(key, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def body_of(message: Message) -> dict[str, Any]:
    """Return what is sent: ids, names, the outcome and counts; never a secret, never the list of files."""
    service, deploy = message.service, message.deploy
    data: dict[str, Any] = {
        "service": {
            "id": service.pk,
            "name": service.repository_name,
            "repository": service.repository_slug,
            "branch": service.branch,
            "status": service.status,
            "issues": service.status_message,
            "url": links.service_url(service),
        }
    }
    if deploy is not None:
        data["deploy"] = {
            "id": deploy.pk,
            "kind": deploy.kind,
            "state": deploy.state,
            "before": deploy.before,
            "after": deploy.after,
            "commit": deploy.commit,
            "user": deploy.user_name,
            "files_added": deploy.files_added,
            "files_modified": deploy.files_modified,
            "files_removed": deploy.files_removed,
            "error": deploy.error,
            "advice": deploy.advice,
            "started_at": deploy.started_at and deploy.started_at.isoformat(),
            "finished_at": deploy.finished_at and deploy.finished_at.isoformat(),
            "url": links.deploy_url(deploy),
        }
    return {"type": TYPES[Event(message.event)], "timestamp": message.created_at.isoformat(), "data": data}
