"""A service that went bad, and one that is fine again: told once at each change."""

from typing import Any

from django.dispatch import receiver

from ftp_deploy.deploys.wakeup import send
from ftp_deploy.models import Message, Service
from ftp_deploy.models.message import Channel, Event
from ftp_deploy.notifications import chat
from ftp_deploy.notifications.outcomes import key_of
from ftp_deploy.notifications.recipients import distinct, named
from ftp_deploy.notifications.webhook import label as webhook_label
from ftp_deploy.signals import service_status_changed

EVENTS = {
    (Service.Status.OK, Service.Status.FAILING): Event.SERVICE_FAILING,
    (Service.Status.FAILING, Service.Status.OK): Event.SERVICE_OK,
}
"""A new service that fails its first check is no news: its maker is looking at it."""


@receiver(service_status_changed)
def on_change(service: Service, before: str, **_signal: Any) -> None:
    """Write the messages down and have them sent."""
    if tell_status(service, before):
        send("ftp_deploy.deliver")


def tell_status(service: Service, before: str) -> int:
    """Write down the messages about a change of status; return how many."""
    event = EVENTS.get((Service.Status(before), Service.Status(service.status)))
    notification = service.notification
    if event is None or notification is None:
        return 0
    told = [(Channel.MAIL, person, "") for person in distinct(named(notification, success=False, fail=True))]
    if notification.channels_fail:
        told += [(Channel.CHAT, chat.label(url), url) for url in chat.urls(notification.channels)]
        if notification.webhook_url:
            told.append((Channel.WEBHOOK, webhook_label(notification.webhook_url), notification.webhook_url))
    Message.objects.bulk_create(
        Message(
            service=service,
            event=event,
            channel=channel,
            recipient=recipient[:320],
            address=address,
            key=key_of(channel, address or recipient),
        )
        for channel, recipient, address in told
    )
    return len(told)
