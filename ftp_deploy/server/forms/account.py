"""The form of an account on a forge."""

from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from ftp_deploy.forms import SecretsFormMixin
from ftp_deploy.models import Account


class AccountForm(SecretsFormMixin, forms.ModelForm):
    """Adds or edits an account; the token is write-only."""

    class Meta:
        model = Account
        fields = ["name", "provider", "username", "token", "private_key", "passphrase", "url"]
        help_texts = {
            "name": _("How you call it, such as the client’s name."),
            "token": _("It must be allowed to read repositories and to manage their webhooks."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label)
        if self.instance.pk:
            self.fields["provider"].disabled = True
