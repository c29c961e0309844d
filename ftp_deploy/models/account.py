"""Accounts on forges."""

from collections.abc import Mapping

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
    username, password, url = (stored.get(name, "") for name in ("username", "password", "url"))
    return Login(username, password, url, allow_private_addresses=True)


class Account(models.Model):
    """A login on a forge. A service without one uses the forge's account from the settings."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    provider = models.CharField(_("source"), max_length=50, choices=provider_choices)
    username = models.CharField(_("username"), max_length=255, blank=True)
    token = EncryptedTextField(_("token"), blank=True, default="")
    url = AddressField(
        _("address"),
        blank=True,
        help_text=_("Only for a forge of your own, such as https://git.example.com."),
    )

    class Meta:
        ordering = ["name"]
        verbose_name = _("account")
        verbose_name_plural = _("accounts")

    def __str__(self) -> str:
        return self.name

    def as_login(self) -> Login:
        """Return what a provider needs to know."""
        return Login(self.username, self.token, self.url, conf.ALLOW_PRIVATE_ADDRESSES)
