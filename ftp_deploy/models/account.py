"""Accounts on forges."""

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from ftp_deploy.conf import conf
from ftp_deploy.fields import AddressField, EncryptedTextField
from ftp_deploy.models.choices import provider_choices
from ftp_deploy.providers.base import Account as Login


def settings_login(provider: str) -> Login:
    """Return the login that the project's settings hold for a forge (``DEPLOY_GITHUB_SETTINGS`` and its like).

    A forge in the settings is the administrator's own choice: it may be at a private address.
    """
    stored: Mapping[str, str] = getattr(conf, provider.upper(), {})
    return Login(
        username=stored.get("username", ""),
        password=stored.get("password", ""),
        url=stored.get("url", ""),
        private_key=stored.get("private_key", ""),
        passphrase=stored.get("passphrase", ""),
        allow_private_addresses=True,
    )


class Account(models.Model):
    """A login on a forge. A service without one uses the forge's account from the settings."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    provider = models.CharField(_("source"), max_length=50, choices=provider_choices)
    username = models.CharField(_("username"), max_length=255, blank=True)
    token = EncryptedTextField(_("token"), blank=True, default="")
    private_key = EncryptedTextField(
        _("private key"),
        lines=True,
        blank=True,
        default="",
        help_text=_("For plain git over ssh: an OpenSSH private key."),
    )
    passphrase = EncryptedTextField(_("passphrase"), blank=True, default="")
    url = AddressField(
        _("address"),
        blank=True,
        help_text=_("For a forge of your own, such as https://git.example.com. Plain git needs it beside a login."),
    )

    sent_secrets = (("token", "private_key"), ("provider", "url"))
    """Secrets that are sent, and the fields that say where to."""

    class Meta:
        ordering = ["name"]
        verbose_name = _("account")
        verbose_name_plural = _("accounts")

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Ask for the server of a plain git login: it is sent nowhere else."""
        stored = self.__dict__
        if self.provider == "git" and not self.url and (stored.get("token") or stored.get("private_key")):
            raise ValidationError({"url": _("Enter the address of the server that this login is for.")})

    def as_login(self) -> Login:
        """Return what a provider needs to know."""
        return Login(
            username=self.username,
            password=self.token,
            url=self.url,
            private_key=self.private_key,
            passphrase=self.passphrase,
            allow_private_addresses=conf.ALLOW_PRIVATE_ADDRESSES,
        )
