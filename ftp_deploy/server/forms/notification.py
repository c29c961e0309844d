"""The form of a notification set with its table of addresses."""

from typing import Any

from django import forms
from django.utils.text import capfirst

from ftp_deploy.forms import SecretsFormMixin
from ftp_deploy.models import Address, Notification


class NotificationForm(SecretsFormMixin, forms.ModelForm):
    """The set itself; its channels and its webhook are secret and write-only."""

    class Meta:
        model = Notification
        fields = [
            "name",
            "deploy_user_success",
            "deploy_user_fail",
            "commit_user_success",
            "commit_user_fail",
            "channels",
            "channels_success",
            "channels_fail",
            "webhook_url",
            "webhook_secret",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label)


class AddressForm(forms.ModelForm):
    """One row of the table."""

    class Meta:
        model = Address
        fields = ["email", "on_success", "on_fail"]
        widgets = {"email": forms.EmailInput(attrs={"class": "form-control", "autocomplete": "off"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("on_success", "on_fail"):
            self.fields[name].widget.attrs["class"] = "form-check-input"

    def has_changed(self) -> bool:
        """Leave a new row out that has no address, whatever its boxes say."""
        entered = self.data.get(self.add_prefix("email"), "").strip()
        return bool(self.instance.pk or entered) and super().has_changed()


AddressFormSet = forms.inlineformset_factory(Notification, Address, form=AddressForm, extra=3, can_delete=True)
