"""Which messages one deploy makes."""

import hashlib

from ftp_deploy.conf import conf
from ftp_deploy.models import Deploy, Message, Notification
from ftp_deploy.models.deploy import FINAL
from ftp_deploy.models.message import Channel, Event
from ftp_deploy.notifications import chat
from ftp_deploy.notifications.recipients import people
from ftp_deploy.notifications.webhook import label as webhook_label
from ftp_deploy.providers import has_api


def start_messages(deploy: Deploy) -> list[Message]:
    """Return the messages of a deploy that waits or runs: the forge's mark alone."""
    return _commit_messages(deploy, Event.STARTED)


def outcome_messages(deploy: Deploy) -> list[Message]:
    """Return the messages of a final outcome.

    A push that went live as part of a later one only gets its mark: people hear of the run, with all its commits.
    """
    event = event_of(deploy)
    messages = _commit_messages(deploy, event)
    notification = deploy.service.notification
    if notification is None or deploy.run_id is not None:
        return messages
    success, fail = event != Event.FAIL, event in (Event.FAIL, Event.RECOVERED)
    messages += [
        new_message(deploy, event, Channel.MAIL, person)
        for person in people(notification, deploy, success=success, fail=fail)
    ]
    return messages + channel_messages(notification, deploy, event)


def event_of(deploy: Deploy) -> Event:
    """Return what a final outcome means to people: a success after a failure is news of its own."""
    if deploy.state == Deploy.State.FAILED or deploy.healthy is False:
        return Event.FAIL
    return Event.RECOVERED if _failed_before(deploy) else Event.SUCCESS


def _failed_before(deploy: Deploy) -> bool:
    """Whether the last outcome before this one was a failure, restored by this deploy or not."""
    earlier = deploy.service.deploys.filter(state__in=FINAL, finished_at__lt=deploy.finished_at).exclude(pk=deploy.pk)
    last = (
        earlier.filter(state__in=[Deploy.State.SUCCEEDED, Deploy.State.FAILED, Deploy.State.RESTORED])
        .exclude(run=deploy, state=Deploy.State.SUCCEEDED)
        .order_by("-finished_at", "-pk")
        .first()
    )
    return last is not None and (last.state != Deploy.State.SUCCEEDED or last.healthy is False)


def channel_messages(notification: Notification, deploy: Deploy, event: Event) -> list[Message]:
    """Return the messages to the channels and the webhook of a set."""
    success = event in (Event.SUCCESS, Event.RECOVERED)
    # Who is told of failures wants to know when they are over.
    fail = event in (Event.FAIL, Event.RECOVERED)
    if not ((success and notification.channels_success) or (fail and notification.channels_fail)):
        return []
    messages = [
        new_message(deploy, event, Channel.CHAT, chat.label(url), url) for url in chat.urls(notification.channels)
    ]
    if notification.webhook_url:
        url = notification.webhook_url
        messages.append(new_message(deploy, event, Channel.WEBHOOK, webhook_label(url), url))
    return messages


def _commit_messages(deploy: Deploy, event: Event) -> list[Message]:
    commit = deploy.after or deploy.commit
    if not (conf.COMMIT_STATUS and commit and has_api(deploy.service.provider, conf.PROVIDERS)):
        return []
    return [new_message(deploy, event, Channel.COMMIT, commit)]


def new_message(deploy: Deploy, event: Event, channel: Channel, recipient: str, address: str = "") -> Message:
    """Return a message, not yet stored."""
    return Message(
        service=deploy.service,
        deploy=deploy,
        event=event,
        channel=channel,
        recipient=recipient[:320],
        address=address,
        key=key_of(channel, address or recipient),
    )


def key_of(channel: str, recipient: str) -> str:
    """Return the digest by which a recipient is told once, whatever the case of the address."""
    return hashlib.sha256(f"{channel}\0{recipient.lower()}".encode()).hexdigest()
