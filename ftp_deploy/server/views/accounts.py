"""Accounts on forges: list, add, edit, delete, try."""

from typing import Any

from django.contrib import messages
from django.db.models import Count, ProtectedError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.generic import DeleteView, ListView, UpdateView

from ftp_deploy import audit
from ftp_deploy.conf import conf
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.models import Account
from ftp_deploy.models.account import settings_login
from ftp_deploy.models.choices import provider_choices
from ftp_deploy.providers import open_provider
from ftp_deploy.server.forms.account import AccountForm
from ftp_deploy.server.views.actions import refusal
from ftp_deploy.server.views.base import Page


class Accounts(Page, ListView):
    """All accounts, and those from the project's settings."""

    permission_required = "ftp_deploy.view_account"
    template_name = "ftp_deploy/server/accounts.html"
    paginate_by = 25

    def get_queryset(self) -> Any:
        """Return the accounts with the number of services that use them."""
        return Account.objects.annotate(users=Count("services")).order_by("name")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the forges that the project's settings hold a login for."""
        in_settings = [
            {"label": label, "username": settings_login(name).username, "url": settings_login(name).url}
            for name, label in provider_choices()
            if settings_login(name).password
        ]
        return super().get_context_data(in_settings=in_settings, **kwargs)


class EditAccount(Page, UpdateView):
    """Edit an account."""

    model = Account
    form_class = AccountForm
    template_name = "ftp_deploy/server/account_form.html"
    permission_required = "ftp_deploy.change_account"
    action = "edit account"

    def form_valid(self, form: Any) -> HttpResponse:
        """Save and write it down; the token's value is never part of that."""
        account = form.save()
        audit.record(self.request, self.action, None, str(account))
        messages.success(self.request, _("Saved."))
        return HttpResponseRedirect(reverse("ftpdeploy_accounts"))


class AddAccount(EditAccount):
    """Add an account."""

    permission_required = "ftp_deploy.add_account"
    action = "add account"

    def get_object(self, queryset: Any = None) -> Any:
        """Return nothing: the form starts empty."""
        return None


class TryAccount(Page):
    """Ask the forge for the account's repositories."""

    http_method_names = ["post"]
    permission_required = "ftp_deploy.change_account"

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say how many there are, or what the forge said."""
        account = get_object_or_404(Account, pk=pk)
        try:
            number = len(open_provider(account.provider, account.as_login(), conf.PROVIDERS).repositories())
        except FTPDeployError as error:
            messages.error(request, refusal(error))
        else:
            found = ngettext("It works: %(number)s repository.", "It works: %(number)s repositories.", number)
            audit.record(request, "try account", None, str(account))
            messages.success(request, found % {"number": number})
        return redirect("ftpdeploy_accounts")


class DeleteAccount(Page, DeleteView):
    """Delete an account that no service uses."""

    model = Account
    permission_required = "ftp_deploy.delete_account"
    template_name = "ftp_deploy/server/confirm.html"
    success_url = reverse_lazy("ftpdeploy_accounts")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the words of the question."""
        return super().get_context_data(
            title=_("Delete %(name)s?") % {"name": self.object.name},
            text=_("The stored token is deleted with it."),
            action=self.request.path,
            button=_("Delete account"),
            danger=True,
            back=reverse("ftpdeploy_accounts"),
            **kwargs,
        )

    def form_valid(self, form: Any) -> HttpResponse:
        """Delete, unless a service needs it."""
        try:
            response = super().form_valid(form)
        except ProtectedError:
            messages.error(self.request, _("Services use this account. Give them another one first."))
            return HttpResponseRedirect(reverse("ftpdeploy_accounts"))
        audit.record(self.request, "delete account", None, str(self.object))
        messages.success(self.request, _("The account is deleted."))
        return response
