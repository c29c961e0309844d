"""The form of a service: four sections as the users know them, secrets write-only."""

from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from ftp_deploy.forms import SecretsFormMixin
from ftp_deploy.models import Service


class ServiceForm(SecretsFormMixin, forms.ModelForm):
    """Adds or edits a service."""

    class Meta:
        model = Service
        fields = [
            "protocol",
            "host",
            "port",
            "username",
            "password",
            "private_key",
            "passphrase",
            "path",
            "verify_certificate",
            "certificate_authority",
            "fingerprint",
            "max_connections",
            "atomic",
            "file_mode",
            "set_modification_time",
            "drift_policy",
            "provider",
            "account",
            "repository_name",
            "repository_slug",
            "repository_fingerprint",
            "branch",
            "subdirectory",
            "excludes",
            "first_deploy",
            "delete_limit",
            "combine_pushes",
            "queue",
            "enabled",
            "notification",
            "site_url",
            "health_check",
            "roll_back_unhealthy",
            "after_urls",
            "secret_key",
            "hook_secret",
            "signature_required",
            "groups",
        ]
        widgets = {
            "groups": forms.CheckboxSelectMultiple(),
            "excludes": forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
            "certificate_authority": forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"}),
            "host": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
            "username": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
            "path": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
        }
        help_texts = {
            "host": _("The server’s name, such as ftp.example.com."),
            "path": _("The root directory of the site on the server, such as /public_html."),
            "account": _("Whose token reads the repository and adds the hook."),
            "repository_name": _("Choose the source first: the list comes from your account."),
            "branch": _("A push to this branch goes live."),
            "notification": _("Who is told of success and failure."),
            "max_connections": _("At most; fewer where the server allows fewer."),
            "secret_key": _("30 letters and digits, part of the hook’s address. Renew it if it became known."),
            "enabled": _("Off: pushes are answered but nothing is deployed."),
            "set_modification_time": _("Files get the time of the deploy’s commit."),
            "hook_secret": _(
                "Made for you, and given to the forge with the hook. For a hook that you add by hand enter one of your"
                " own, here and there. After a change a hook that is there has to be added again."
            ),
            "signature_required": _("Unsigned hooks are refused. Leave it on."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["repository_name"].required = False
        self.fields["secret_key"].widget.attrs["readonly"] = True
        self.fields["secret_key"].disabled = True
        self.name_the_empty("account", _("The login from the project’s settings"))
        self.name_the_empty("notification", _("Nobody is told"))
        for field in self.fields.values():
            field.label = capfirst(field.label)

    def name_the_empty(self, name: str, words: Any) -> None:
        """Say what an empty choice means."""
        field = self.fields[name]
        if isinstance(field, forms.ModelChoiceField):
            field.empty_label = words

    def clean(self) -> dict[str, Any]:
        """Ask for a login and for what hooks are signed with, and name the repository where nobody did."""
        cleaned = super().clean()
        given = cleaned.get("password") or cleaned.get("private_key")
        if not self.instance.pk and not given and "password" not in self.errors:
            self.add_error("password", _("Enter the password, or for SFTP a private key."))
        if cleaned.get("hook_secret") == "" and cleaned.get("signature_required"):
            self.add_error("hook_secret", _("Without a secret no hook can be signed: all would be refused."))
        slug = str(cleaned.get("repository_slug") or "")
        if slug and not cleaned.get("repository_name"):
            cleaned["repository_name"] = slug.rstrip("/").rpartition("/")[2].removesuffix(".git") or slug
        return cleaned
