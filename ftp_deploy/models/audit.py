"""Records of what people did and of what the machinery did: append-only."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class AuditEntry(models.Model):
    """One action of a person: who, what, when, from where."""

    at = models.DateTimeField(_("time"), db_default=Now(), db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
    )
    user_name = models.CharField(_("user name"), max_length=150, blank=True)
    action = models.CharField(_("action"), max_length=50)
    service = models.ForeignKey(
        "ftp_deploy.Service",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("service"),
    )
    subject = models.CharField(_("subject"), max_length=255, blank=True)
    detail = models.JSONField(_("detail"), default=dict, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")

    def __str__(self) -> str:
        return f"{self.user_name} {self.action} {self.subject}".strip()


class LeaseEvent(models.Model):
    """A run of a service began or ended, by the database's clock: the proof that no two runs overlapped."""

    service_id: int
    at = models.DateTimeField(db_default=Now())
    service = models.ForeignKey("ftp_deploy.Service", models.CASCADE, related_name="lease_events")
    epoch = models.PositiveBigIntegerField()
    owner = models.CharField(max_length=64)
    event = models.CharField(max_length=16)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.event} service {self.service_id} epoch {self.epoch}"


class Heartbeat(models.Model):
    """When a periodic job last ran, by name (``sweep``, ``reconcile``, ``validate``)."""

    name = models.CharField(max_length=50, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
