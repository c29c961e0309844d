"""Messages are written down first and sent after; what fails is tried again with growing pauses.

A message is claimed by a conditional update, so two workers do not send it twice. A worker that dies between sending
and noting it makes one more mail; never one less.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from ftp_deploy.conf import conf
from ftp_deploy.deploys.lease import StopAsked, never
from ftp_deploy.exceptions import FTPDeployError, MailServerDown
from ftp_deploy.models import Deploy, Message
from ftp_deploy.models.deploy import UNFINISHED
from ftp_deploy.models.message import Channel, MessageState
from ftp_deploy.notifications import chat, commit_status, mail, webhook
from ftp_deploy.notifications.outcomes import outcome_messages, start_messages

logger = logging.getLogger(__name__)

TOLD = (Deploy.State.SUCCEEDED, Deploy.State.FAILED)
FIRST_PAUSE = 60
LONGEST_PAUSE = 3600
BATCH = 500
TOO_OLD = timedelta(days=1)
"""An outcome that nobody was told of within this time is no news any more."""

SENDERS: dict[str, Callable[[Message], None]] = {
    Channel.MAIL: mail.send,
    Channel.CHAT: chat.send,
    Channel.WEBHOOK: webhook.send,
    Channel.COMMIT: commit_status.send,
}


def write_down(deploy: Deploy) -> None:
    """Store the messages about a deploy as it stands now, once; another call for the same outcome stores nothing."""
    if deploy.state in UNFINISHED:
        Message.objects.bulk_create(start_messages(deploy), ignore_conflicts=True)
        return
    with transaction.atomic():
        mine = Deploy.objects.filter(pk=deploy.pk, state__in=TOLD, notified_at=None).update(notified_at=timezone.now())
        if mine:
            Message.objects.bulk_create(outcome_messages(deploy), ignore_conflicts=True)


def deliver_due(stop_asked: StopAsked = never) -> int:
    """Write down what a lost message left untold, and send what is due; return how many messages were tried.

    For a periodic job; two at once are harmless.
    """
    since = timezone.now() - TOO_OLD
    untold = Deploy.objects.filter(state__in=TOLD, notified_at=None, finished_at__gte=since)
    for deploy in untold.select_related("service__notification").order_by("finished_at")[:BATCH]:
        write_down(deploy)
    return deliver(Message.objects.due()[:BATCH], stop_asked)


def deliver(messages: Iterable[Message], stop_asked: StopAsked = never) -> int:
    """Try to send each message once, until asked to stop; return how many were tried."""
    tried = 0
    broken: set[str] = set()
    for message in messages:
        if stop_asked():
            break
        if message.channel not in broken and _claim(message):
            tried += 1
            if not _try(message):
                broken.add(message.channel)
    return tried


def _claim(message: Message) -> bool:
    pause = min(FIRST_PAUSE * 2**message.attempts, LONGEST_PAUSE)
    claimed = Message.objects.filter(pk=message.pk, state=MessageState.WAITING, attempts=message.attempts).update(
        attempts=message.attempts + 1, next_attempt_at=timezone.now() + timedelta(seconds=pause)
    )
    message.attempts += 1
    return bool(claimed)


def _try(message: Message) -> bool:
    """Send one message and note what came of it; return False where the next one by this way need not be tried.

    There is one mail server for all: the rest would only wait for the same time-out, one after the other.
    """
    try:
        SENDERS[message.channel](message)
    except FTPDeployError as error:
        _note_failure(message, f"{error.message} {error.advice}".rstrip(), final=not error.transient)
        return not isinstance(error, MailServerDown)
    except Exception as error:  # a template of the project, a mail backend of the project: anything may be raised
        logger.exception("Message %s could not be sent", message.pk)
        _note_failure(message, f"{type(error).__name__}: see the worker's log.", final=False)
        return True
    Message.objects.filter(pk=message.pk).update(
        state=MessageState.SENT, sent_at=timezone.now(), next_attempt_at=None, error=""
    )
    return True


def _note_failure(message: Message, text: str, *, final: bool) -> None:
    final = final or message.attempts >= conf.MESSAGE_ATTEMPTS
    values = {"state": MessageState.FAILED, "next_attempt_at": None} if final else {}
    Message.objects.filter(pk=message.pk).update(error=text[:2000], **values)
    logger.warning("Message %s to %s by %s: %s", message.pk, message.recipient, message.channel, text)
