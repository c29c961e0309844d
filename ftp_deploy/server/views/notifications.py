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
from django.views.generic import DeleteView, ListView, UpdateView

from ftp_deploy import audit
from ftp_deploy.access import notifications_for
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.models import Notification
from ftp_deploy.notifications import sets
from ftp_deploy.server.forms.notification import AddressFormSet, NotificationForm
from ftp_deploy.server.views.actions import refusal
from ftp_deploy.server.views.base import Page


class Notifications(Page, ListView):
    """All sets."""

    permission_required = "ftp_deploy.view_notification"
    template_name = "ftp_deploy/server/notifications.html"
    paginate_by = 25

    def get_queryset(self) -> Any:
        """Return the sets with their addresses and the number of services that use them."""
        sets = notifications_for(self.request.user)
        return sets.annotate(users=Count("services")).prefetch_related("addresses").order_by("name")


class EditNotification(Page, UpdateView):
    """Edit a set: it and its table of addresses are saved together."""

    model = Notification
    form_class = NotificationForm
    template_name = "ftp_deploy/server/notification_form.html"
    success_url = reverse_lazy("ftpdeploy_notifications")
    permission_required = "ftp_deploy.change_notification"
    action = "edit notification"

    def get_queryset(self) -> Any:
        """Return the sets that the person may see."""
        return notifications_for(self.request.user)

    def addresses(self) -> Any:
        """Return the table of addresses, filled from the request."""
        data = self.request.POST if self.request.method == "POST" else None
        return AddressFormSet(data, instance=self.object or Notification(), prefix="addresses")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the table."""
        kwargs.setdefault("addresses", self.addresses())
        return super().get_context_data(**kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        """Save both, or show both again."""
        addresses = self.addresses()
        if not addresses.is_valid():
            return self.render_to_response(self.get_context_data(form=form, addresses=addresses))
        with transaction.atomic():
            self.object = addresses.instance = form.save()
            addresses.save()
        audit.record(self.request, self.action, None, str(self.object))
        messages.success(self.request, _("Saved."))
        return HttpResponseRedirect(str(self.success_url))


class AddNotification(EditNotification):
    """Add a set."""

    permission_required = "ftp_deploy.add_notification"
    action = "add notification"

    def get_object(self, queryset: Any = None) -> Any:
        """Return nothing: the form starts empty."""
        return None


class DeleteNotification(Page, DeleteView):
    """Delete a set; services that use it then tell nobody."""

    model = Notification
    permission_required = "ftp_deploy.delete_notification"
    template_name = "ftp_deploy/server/confirm.html"
    success_url = reverse_lazy("ftpdeploy_notifications")

    def get_queryset(self) -> Any:
        """Return the sets that the person may see."""
        return notifications_for(self.request.user)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the words of the question."""
        users = self.object.services.count()
        told = ngettext(
            "%(number)s service uses it and will tell nobody.",
            "%(number)s services use it and will tell nobody.",
            users,
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
        audit.record(self.request, "delete notification", None, str(self.object))
        messages.success(self.request, _("The notification is deleted."))
        return super().form_valid(form)


class SendTest(Page):
    """Send a test to the addresses, the channels and the webhook of a set."""

    http_method_names = ["post"]
    permission_required = "ftp_deploy.change_notification"

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send it and say to whom, or who did not take it."""
        notification = get_object_or_404(notifications_for(request.user), pk=pk)
        try:
            told = self.send(notification)
        except FTPDeployError as error:
            messages.error(request, refusal(error))
        except OSError as error:  # smtplib's errors are OSErrors
            messages.error(request, _("The mail server refused: %(reply)s") % {"reply": error})
        else:
            audit.record(request, "send test", None, str(notification))
            messages.success(request, _("A test went to %(names)s.") % {"names": ", ".join(told)})
        return redirect("ftpdeploy_notifications")

    def send(self, notification: Notification) -> list[str]:
        """Send it; return who was told. Raises ``FTPDeployError`` or what the mail backend raises."""
        told = list(notification.addresses.values_list("email", flat=True))
        subject = _("FTP Deploy: test of “%(name)s”") % {"name": notification.name}
        text = _("This is a test. Deploys of the services that use this set are told to this address.")
        for address in told:
            send_mail(subject, text, None, [address])
        if notification.channels or notification.webhook_url or not told:
            told += sets.send_test(notification)
        return told
