"""Named sets of people and channels that are told about deploys."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ftp_deploy.fields import EncryptedTextField


class Notification(models.Model):
    """A named set: who is told of a success, who of a failure."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    deploy_user_success = models.BooleanField(_("tell who pushed, on success"), default=False)
    deploy_user_fail = models.BooleanField(_("tell who pushed, on failure"), default=False)
    commit_user_success = models.BooleanField(_("tell everyone with a commit, on success"), default=False)
    commit_user_fail = models.BooleanField(_("tell everyone with a commit, on failure"), default=False)
    channels = EncryptedTextField(
        _("channels"),
        blank=True,
        default="",
        help_text=_("One Apprise URL a line, such as slack://... or discord://..."),
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
