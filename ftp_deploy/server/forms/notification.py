"""The form of a notification set with its table of addresses."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ftp_deploy.models import Address, Notification


class NotificationForm(forms.ModelForm[Notification]):
    """The set itself; its channels are secret and write-only."""

    channels = forms.CharField(
        label=_("Channels"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("One Apprise URL a line, such as slack://… or discord://…. They hold tokens, so they are not shown."),
    )
    forget_channels = forms.BooleanField(label=_("Remove the stored channels"), required=False)

    class Meta:
        model = Notification
        fields = ["name", "deploy_user_success", "deploy_user_fail", "commit_user_success", "commit_user_fail"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.__dict__.get("channels"):
            self.fields["channels"].widget.attrs["placeholder"] = _("stored; leave empty to keep them")
        else:
            del self.fields["forget_channels"]

    def save(self, commit: bool = True) -> Notification:
        """Save; the channels only where new ones were entered or the old ones are to go."""
        if self.cleaned_data.get("channels"):
            self.instance.channels = self.cleaned_data["channels"]
        elif self.cleaned_data.get("forget_channels"):
            self.instance.channels = ""
        notification: Notification = super().save(commit)
        return notification


class AddressForm(forms.ModelForm[Address]):
    """One row of the table."""

    class Meta:
        model = Address
        fields = ["email", "on_success", "on_fail"]
        widgets = {"email": forms.EmailInput(attrs={"class": "form-control", "autocomplete": "off"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("on_success", "on_fail"):
            self.fields[name].widget.attrs["class"] = "form-check-input"


AddressFormSet = forms.inlineformset_factory(Notification, Address, form=AddressForm, extra=3, can_delete=True)
