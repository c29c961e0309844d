"""Notification sets: list, add, edit, delete, send a test."""

from typing import Any

from django.contrib import messages
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.generic import CreateView, DeleteView, ListView, UpdateView

from ftp_deploy.models import Notification
from ftp_deploy.server import core
from ftp_deploy.server.forms.notification import AddressFormSet, NotificationForm
from ftp_deploy.server.views.base import Page


class Notifications(Page, ListView[Notification]):
    """All sets."""

    permission_required = "ftp_deploy.view_notification"
    template_name = "ftp_deploy/server/notifications.html"
    paginate_by = 25

    def get_queryset(self) -> Any:
        """Return the sets with their addresses and the number of services that use them."""
        return Notification.objects.annotate(users=Count("services")).prefetch_related("addresses").order_by("name")


class NotificationEditing(Page):
    """What adding and editing share: the set and its table of addresses are saved together."""

    model = Notification
    form_class = NotificationForm
    template_name = "ftp_deploy/server/notification_form.html"
    success_url = reverse_lazy("ftpdeploy_notifications")
    action = ""
    object: Notification | None

    def addresses(self) -> Any:
        """Return the table of addresses, filled from the request."""
        data = self.request.POST if self.request.method == "POST" else None
        return AddressFormSet(data, instance=self.object or Notification(), prefix="addresses")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the table."""
        kwargs.setdefault("addresses", self.addresses())
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        return context

    def form_valid(self, form: NotificationForm) -> HttpResponse:
        """Save both, or show both again."""
        addresses = self.addresses()
        if not addresses.is_valid():
            response: HttpResponse = self.render_to_response(self.get_context_data(form=form, addresses=addresses))  # type: ignore[attr-defined]
            return response
        with transaction.atomic():
            self.object = addresses.instance = form.save()
            addresses.save()
        core.record(self.request, self.action, None, str(self.object))
        messages.success(self.request, _("Saved."))
        return HttpResponseRedirect(str(self.success_url))


class AddNotification(NotificationEditing, CreateView[Notification, NotificationForm]):
    """Add a set."""

    permission_required = "ftp_deploy.add_notification"
    action = "add notification"


class EditNotification(NotificationEditing, UpdateView[Notification, NotificationForm]):
    """Edit a set."""

    permission_required = "ftp_deploy.change_notification"
    action = "edit notification"


class DeleteNotification(Page, DeleteView[Notification, Any]):
    """Delete a set; services that use it then tell nobody."""

    model = Notification
    permission_required = "ftp_deploy.delete_notification"
    template_name = "ftp_deploy/server/confirm.html"
    success_url = reverse_lazy("ftpdeploy_notifications")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the words of the question."""
        users = self.object.services.count()
        told = ngettext(
            "%(number)s service uses it and will tell nobody.", "%(number)s services use it and will tell nobody.", users
        )
        return super().get_context_data(
            title=_("Delete %(name)s?") % {"name": self.object.name},
            text=told % {"number": users} if users else _("No service uses it."),
            action=self.request.path,
            button=_("Delete notification"),
            danger=True,
            back=reverse("ftpdeploy_notifications"),
            **kwargs,
        )

    def form_valid(self, form: Any) -> HttpResponse:
        """Write it down, then delete."""
        core.record(self.request, "delete notification", None, str(self.object))
        messages.success(self.request, _("The notification is deleted."))
        return super().form_valid(form)


class SendTest(Page):
    """Send a test mail to the addresses of a set."""

    http_method_names = ["post"]
    permission_required = "ftp_deploy.change_notification"

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send it and say to whom, or what the mail server said."""
        notification = get_object_or_404(Notification, pk=pk)
        to = list(notification.addresses.values_list("email", flat=True))
        if not to:
            messages.error(request, _("This set has no addresses to send a test to."))
            return redirect("ftpdeploy_notifications")
        subject = _("FTP Deploy: test of “%(name)s”") % {"name": notification.name}
        text = _("This is a test. Deploys of the services that use this set are told to this address.")
        try:
            for address in to:
                send_mail(subject, text, None, [address])
        except OSError as error:  # smtplib's errors are OSErrors
            messages.error(request, _("The mail server refused: %(reply)s") % {"reply": error})
        else:
            core.record(request, "send test", None, str(notification))
            messages.success(request, _("A test went to %(addresses)s.") % {"addresses": ", ".join(to)})
        return redirect("ftpdeploy_notifications")
