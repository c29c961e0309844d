"""What people and machines are told: one row for each message to each of them, kept until it arrived."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ftp_deploy.fields import EncryptedTextField


class Event(models.TextChoices):
    """What a message tells."""

    STARTED = "started", _("deploy started")
    """A deploy waits for its turn or runs."""
    SUCCESS = "success", _("deploy succeeded")
    """A deploy is live."""
    RECOVERED = "recovered", _("works again")
    """A deploy is live after one that failed."""
    FAIL = "fail", _("deploy failed")
    """A deploy failed."""
    SERVICE_FAILING = "service_failing", _("service went bad")
    """A validation found something wrong with a service that was fine."""
    SERVICE_OK = "service_ok", _("service is fine again")
    """A validation found nothing wrong with a service that was failing."""
    TEST = "test", _("test")
    """Somebody pressed the test button."""


class Channel(models.TextChoices):
    """By which way a message goes."""

    MAIL = "mail", _("e-mail")
    """An e-mail to one person."""
    CHAT = "chat", _("channel")
    """An Apprise URL: a chat or another channel."""
    WEBHOOK = "webhook", _("webhook")
    """A signed POST to an address of the notification."""
    COMMIT = "commit", _("commit status")
    """The mark beside the commit on its forge."""


class MessageState(models.TextChoices):
    """Where a message stands."""

    WAITING = "waiting", _("waiting")
    """To be sent, or to be tried again."""
    SENT = "sent", _("sent")
    """The mail server, the channel or the forge has taken it."""
    FAILED = "failed", _("given up")
    """Refused for good, or tried too often."""


class MessageQuerySet(models.QuerySet["Message"]):
    """Named selections of messages."""

    def due(self) -> "MessageQuerySet":
        """Messages to send now."""
        return self.filter(
            Q(next_attempt_at=None) | Q(next_attempt_at__lte=timezone.now()), state=MessageState.WAITING
        ).order_by("pk")


class Message(models.Model):
    """One message to one recipient. Its fate never changes that of the deploy."""

    Event = Event
    Channel = Channel
    State = MessageState

    service = models.ForeignKey(
        "ftp_deploy.Service", models.CASCADE, related_name="messages", verbose_name=_("service")
    )
    deploy = models.ForeignKey(
        "ftp_deploy.Deploy",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="messages",
        verbose_name=_("deploy"),
    )
    event = models.CharField(_("event"), max_length=20, choices=Event)
    channel = models.CharField(_("channel"), max_length=10, choices=Channel)
    recipient = models.CharField(_("recipient"), max_length=320)
    """An e-mail address, or words for a channel whose address is a secret."""
    address = EncryptedTextField(blank=True, default="")
    """The secret address of a channel or a webhook."""
    key = models.CharField(max_length=64)
    """A digest of channel and recipient: each is told of one outcome once."""
    state = models.CharField(_("state"), max_length=10, choices=MessageState, default=MessageState.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(_("made at"), auto_now_add=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state="waiting"), name="ftp_deploy_message_due"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["deploy", "event", "key"], name="ftp_deploy_message_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_event_display()}: {self.recipient}"
