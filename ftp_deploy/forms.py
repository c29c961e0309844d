"""Write-only form fields for stored secrets: never shown, kept when left empty, cleared by a box.

``EncryptedTextField`` uses ``SecretField`` in every model form, so no form can show a secret by mistake.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class Kept:
    """What a form holds for a secret that the person left as it is."""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return ""

    def __repr__(self) -> str:
        return "<Kept>"


KEPT = Kept()


class Entered:
    """What an input is given that was filled in on a form which was not saved: the text is not shown again."""

    def __init__(self, stored: bool) -> None:
        self.stored = stored


class SecretInput(forms.Widget):
    """An empty input, a word on whether something is stored, and a box that clears it."""

    template_name = "ftp_deploy/forms/secret.html"

    def __init__(self, attrs: dict[str, Any] | None = None, *, lines: bool = False) -> None:
        super().__init__({"autocomplete": "off" if lines else "new-password", "spellcheck": "false", **(attrs or {})})
        self.lines = lines

    def format_value(self, value: Any) -> None:
        """Show nothing, whatever is stored."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Tell the template whether a value is stored, never which."""
        context = super().get_context(name, None, attrs)
        again = isinstance(value, Entered)
        stored = value.stored if isinstance(value, Entered) else bool(value)
        names = {"lines": self.lines, "clear_name": self.clear_name(name)}
        return {**context, **names, "stored": stored, "again": again}

    @staticmethod
    def clear_name(name: str) -> str:
        """Return the name of the box that clears the secret."""
        return f"{name}-clear"

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """Return the new text; ``KEPT`` where nothing was entered; empty text where the box is ticked."""
        entered = data.get(name, "")
        if str(entered).strip():
            return entered
        return "" if data.get(self.clear_name(name)) else KEPT

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Say that the field is always there: an empty input has a meaning."""
        return False


class SecretField(forms.CharField):
    """A secret in a form. The cleaned value is the new text, empty text (clear it) or ``KEPT``."""

    def __init__(self, *, lines: bool = False, **options: Any) -> None:
        options["widget"] = SecretInput(lines=lines)
        super().__init__(**{**options, "required": False, "strip": not lines})

    def to_python(self, value: Any) -> Any:
        """Pass ``KEPT`` on, and give text the line ends of Unix: keys need them."""
        if isinstance(value, Kept):
            return value
        return str(super().to_python(value)).replace("\r\n", "\n")

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what the input of a form that was not saved tells of: what is stored, and whether text was entered."""
        return Entered(bool(initial)) if data is not KEPT and data else initial

    def run_validators(self, value: Any) -> None:
        """Validate new text only."""
        if value is not KEPT:
            super().run_validators(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Say whether a save would change the stored value."""
        return data is not KEPT and (bool(data) or bool(initial))


class SecretsFormMixin:
    """For model forms: a kept secret is not validated, so a row can be saved without the key that encrypted it.

    A model names in ``sent_secrets`` the secrets that are sent somewhere, and the fields that say where. Where one of
    those changes, a stored secret has to be entered again: nobody learns it by pointing the row at a server of theirs.
    """

    def clean(self) -> dict[str, Any]:
        """Ask again for a stored secret that would otherwise be sent to another place."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data  # type: ignore[misc,attr-defined]
        row: Any = self.instance  # type: ignore[attr-defined]
        secrets, places = row.sent_secrets if hasattr(row, "sent_secrets") else ((), ())
        if row.pk and set(places) & set(self.changed_data):  # type: ignore[attr-defined]
            for name in secrets:
                # Looks at the row, so no key is needed.
                if cleaned.get(name) is KEPT and row.__dict__.get(name):
                    self.add_error(name, _("The address or the user changed: enter this again."))  # type: ignore[attr-defined]
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        cleaned: dict[str, Any] = self.cleaned_data  # type: ignore[attr-defined]
        return excluded | {name for name, value in cleaned.items() if value is KEPT}
