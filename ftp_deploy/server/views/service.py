"""Adding, editing and deleting a service."""

from typing import Any

from django.contrib import messages
from django.forms import ModelChoiceField
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views.generic import DeleteView, UpdateView

from ftp_deploy import audit, hooks, tasks
from ftp_deploy.access import notifications_for, services_for
from ftp_deploy.models import Account, Service
from ftp_deploy.models.account import settings_login
from ftp_deploy.models.choices import provider_choices
from ftp_deploy.server.forms.service import ServiceForm
from ftp_deploy.server.views.base import Page


class EditService(Page, UpdateView):
    """Edit a service: the form, the checks afterwards, the way to Manage."""

    model = Service
    form_class = ServiceForm
    template_name = "ftp_deploy/server/service_form.html"
    permission_required = "ftp_deploy.change_service"
    action = "edit service"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the hook's address, for hooks that are added by hand, and which account belongs to which source."""
        service = self.object
        url = hooks.hook_url(service, self.request) if service and service.pk else ""
        sources = {
            "accounts": dict(Account.objects.values_list("pk", "provider")),
            "settings": [name for name, _label in provider_choices() if settings_login(name).password],
        }
        return super().get_context_data(hook_url=url, sources=sources, **kwargs)

    def get_queryset(self) -> Any:
        """Return the services that the person sees."""
        return services_for(self.request.user)

    def get_form(self, form_class: Any = None) -> Any:
        """Return the form; it offers the notification sets that the person may see."""
        form = super().get_form(form_class)
        choice = form.fields["notification"]
        if isinstance(choice, ModelChoiceField):
            choice.queryset = notifications_for(self.request.user)
        return form

    def form_valid(self, form: Any) -> HttpResponse:
        """Save, write down which fields changed (never a secret's value), and have the service checked."""
        self.object = form.save()
        audit.record(self.request, self.action, self.object, fields=form.changed_data)
        tasks.send("ftp_deploy.validate", self.object.pk)
        messages.success(self.request, _("Saved. The checks run now; their result appears under Status."))
        return HttpResponseRedirect(reverse("ftpdeploy_service_manage", args=[self.object.pk]))


class AddService(EditService):
    """Add a service."""

    permission_required = "ftp_deploy.add_service"
    action = "add service"

    def get_object(self, queryset: Any = None) -> Any:
        """Return nothing: the form starts empty."""
        return None


class DeleteService(Page, DeleteView):
    """Delete a service with its log; the files on the server stay."""

    model = Service
    permission_required = "ftp_deploy.delete_service"
    template_name = "ftp_deploy/server/confirm.html"
    success_url = reverse_lazy("ftpdeploy_dashboard")

    def get_queryset(self) -> Any:
        """Return the services that the person sees."""
        return services_for(self.request.user)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the words of the question."""
        return super().get_context_data(
            title=_("Delete %(name)s?") % {"name": self.object.repository_name},
            text=_("The service and its whole log are deleted. The files on the server and the repository stay."),
            action=self.request.path,
            button=_("Delete service"),
            danger=True,
            back=reverse("ftpdeploy_service_manage", args=[self.object.pk]),
            **kwargs,
        )

    def form_valid(self, form: Any) -> HttpResponse:
        """Write it down, then delete."""
        audit.record(self.request, "delete service", None, str(self.object))
        messages.success(self.request, _("The service is deleted."))
        return super().form_valid(form)
