"""Notification sets as people see them: who hears of what, and a test of the channels."""

import uuid

from django.utils import timezone

from ftp_deploy import links
from ftp_deploy.exceptions import ConfigurationError
from ftp_deploy.models import Notification
from ftp_deploy.notifications import chat, webhook
from ftp_deploy.notifications.recipients import named


def channel_labels(notification: Notification) -> list[str]:
    """Return what may be shown of the channels and the webhook: their kinds and hosts."""
    labels = [chat.label(url) for url in chat.urls(notification.channels)]
    return labels + ([webhook.label(notification.webhook_url)] if notification.webhook_url else [])


def listed(notification: Notification, *, success: bool) -> list[str]:
    """Return who hears of a success, or of a failure: addresses, ``deploy_user``, ``commit_user``, channels."""
    flags = (
        (notification.deploy_user_success, notification.commit_user_success, notification.channels_success)
        if success
        else (notification.deploy_user_fail, notification.commit_user_fail, notification.channels_fail)
    )
    words = named(notification, success=success, fail=not success)
    words += [name for name, wanted in zip(("deploy_user", "commit_user"), flags[:2], strict=True) if wanted]
    return words + (channel_labels(notification) if flags[2] else [])


def send_test(notification: Notification) -> list[str]:
    """Send a test to every channel and the webhook of a set, now; return their labels.

    Raises ``NotSent`` for the first that does not take it, ``ConfigurationError`` where there is none.
    """
    told = channel_labels(notification)
    if not told:
        raise ConfigurationError("This notification has no channel and no webhook.", advice="Add one first.")
    text = f"A test from FTP Deploy on {links.host()}: the notification “{notification.name}” works."
    for url in chat.urls(notification.channels):
        chat.post(url, "FTP Deploy: test", text)
    if notification.webhook_url:
        body = {"type": "test", "timestamp": timezone.now().isoformat(), "data": {"notification": notification.name}}
        webhook.post(notification, notification.webhook_url, f"msg_test_{uuid.uuid4().hex}", body)
    return told
