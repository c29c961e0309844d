"""Named sets of people and channels that are told about deploys."""

import base64
import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _

from ftp_deploy.fields import EncryptedTextField

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - the form of such secrets, not one of them


def new_webhook_secret() -> str:
    """Return a random secret in the form of the Standard Webhooks specification: ``whsec_`` and 32 bytes in base64."""
    return WEBHOOK_SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


class Notification(models.Model):
    """A named set: who is told of a success, who of a failure."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    deploy_user_success = models.BooleanField(_("tell who pushed, on success"), default=False)
    deploy_user_fail = models.BooleanField(_("tell who pushed, on failure"), default=False)
    commit_user_success = models.BooleanField(_("tell everyone with a commit, on success"), default=False)
    commit_user_fail = models.BooleanField(_("tell everyone with a commit, on failure"), default=False)
    channels = EncryptedTextField(
        _("channels"),
        lines=True,
        blank=True,
        default="",
        help_text=_("One Apprise URL a line, such as slack://... or discord://..."),
    )
    channels_success = models.BooleanField(_("tell the channels and the webhook, on success"), default=True)
    channels_fail = models.BooleanField(_("tell the channels and the webhook, on failure"), default=True)
    webhook_url = EncryptedTextField(
        _("webhook"),
        blank=True,
        default="",
        help_text=_("An address of yours that is sent each outcome as signed JSON."),
    )
    webhook_secret = EncryptedTextField(
        _("webhook secret"),
        blank=True,
        default=new_webhook_secret,
        help_text=_("Signs what is sent to the webhook: whsec_ and base64."),
    )

    class Meta:
        ordering = ["name"]
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")

    def __str__(self) -> str:
        return self.name


class Address(models.Model):
    """One e-mail address of a set."""

    notification = models.ForeignKey(
        Notification, models.CASCADE, related_name="addresses", verbose_name=_("notification")
    )
    email = models.EmailField(_("e-mail"))
    on_success = models.BooleanField(_("success"), default=True)
    on_fail = models.BooleanField(_("fail"), default=True)

    class Meta:
        ordering = ["email"]
        verbose_name = _("address")
        verbose_name_plural = _("addresses")
        constraints = [models.UniqueConstraint(fields=["notification", "email"], name="ftp_deploy_address_once")]

    def __str__(self) -> str:
        return self.email
