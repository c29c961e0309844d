"""Questions before something is done: a page of its own, and the same in the dialog where scripts run."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from ftp_deploy import audit
from ftp_deploy.access import notifications_for, services_for
from ftp_deploy.deploys import restore as restoring
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.models import Deploy, Service
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.log import number

FILES_SHOWN = 1000


class Question(Page, TemplateView):
    """Asks before it is done; the answer is POSTed to the action."""

    page_template = "ftp_deploy/server/confirm.html"
    part_template = "ftp_deploy/server/parts/confirm_body.html"

    @property
    def in_dialog(self) -> bool:
        """Whether htmx asks for the dialog's content."""
        return bool(self.request.headers.get("HX-Request"))

    def get_template_names(self) -> list[str]:
        """Return the dialog's content or the whole page."""
        return [self.part_template if self.in_dialog else self.page_template]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the question's words, its action and where Cancel leads."""
        return super().get_context_data(in_dialog=self.in_dialog, **kwargs)


def service_of(request: HttpRequest, pk: int) -> Service:
    """Return a service that the person sees, or 404."""
    return get_object_or_404(services_for(request.user).select_related("account"), pk=pk)


def said(deploy: Deploy) -> str:
    """Return how people know a deploy: by the first line of its newest commit."""
    newest = deploy.commits[-1]["message"].strip().partition("\n")[0] if deploy.commits else ""
    return f"{newest} (#{deploy.pk})" if newest else str(deploy)


class AskSkip(Question):
    """Before a failed deploy is skipped: what that may break, in words."""

    permission_required = "ftp_deploy.skip_deploy"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the question."""
        services = services_for(self.request.user)
        deploy = get_object_or_404(Deploy, pk=self.kwargs["pk"], service__in=services)
        return super().get_context_data(
            title=_("Skip this deploy?"),
            text=_("“%(deploy)s” is left out of the next restore; the server keeps what it has.")
            % {"deploy": said(deploy)},
            warning=_(
                "The repository and the server will then differ. If this deploy was to make a file, a later deploy that"
                " changes or removes that file finds the server in another state than the repository."
            ),
            action=reverse("ftpdeploy_deploy_skip_now", args=[deploy.pk]),
            button=_("Skip"),
            back=reverse("ftpdeploy_service_manage", args=[deploy.service_id]),
            **kwargs,
        )


class AskNewKeys(Question):
    """Before the keys are renewed."""

    permission_required = "ftp_deploy.change_service"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the question."""
        service = service_of(self.request, self.kwargs["pk"])
        return super().get_context_data(
            title=_("Renew the keys?"),
            text=_("The hook gets a new address and a new secret, here and on the forge."),
            warning=_("A hook that was added by hand stops working until you change it there too."),
            action=reverse("ftpdeploy_service_keys_now", args=[service.pk]),
            button=_("Renew the keys"),
            back=reverse("ftpdeploy_service_manage", args=[service.pk]),
            **kwargs,
        )


class Preview(Question):
    """Shows what an action would put live and take away, before it is done."""

    page_template = "ftp_deploy/server/preview.html"
    part_template = "ftp_deploy/server/parts/preview_body.html"
    permission_required = "ftp_deploy.deploy_service"

    def words(self, service: Service) -> dict[str, Any]:
        """Return title, action, button and hidden fields."""
        raise NotImplementedError

    def preview(self, service: Service) -> Any:
        """Ask the core. Raises ``FTPDeployError`` where the forge or the plan refuses."""
        raise NotImplementedError

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the preview, or the sentence that says why there is none."""
        service = service_of(self.request, self.kwargs["pk"])
        context: dict[str, Any] = {"service": service, "back": reverse("ftpdeploy_service_manage", args=[service.pk])}
        try:
            preview = self.preview(service)
        except FTPDeployError as error:
            context["error"] = error
        else:
            context["preview"] = preview
            context["lists"] = [
                (_("New files"), "file-earmark-plus", "good", preview.added[:FILES_SHOWN], len(preview.added)),
                (
                    _("Modified files"),
                    "file-earmark-diff",
                    "running",
                    preview.modified[:FILES_SHOWN],
                    len(preview.modified),
                ),
                (_("Removed files"), "file-earmark-minus", "bad", preview.removed[:FILES_SHOWN], len(preview.removed)),
                (
                    _("Left out, because it was skipped"),
                    "skip-forward-fill",
                    "warn",
                    preview.left_out[:FILES_SHOWN],
                    len(preview.left_out),
                ),
            ]
        return super().get_context_data(**context, **self.words(service), **kwargs)


class RestorePreview(Preview):
    """The Restore pop-up."""

    permission_required = "ftp_deploy.restore_service"

    def words(self, service: Service) -> dict[str, Any]:
        """Return the words of a restore."""
        return {
            "title": _("Restore deploys"),
            "action": reverse("ftpdeploy_service_restore_now", args=[service.pk]),
            "button": _("Restore"),
        }

    def preview(self, service: Service) -> Any:
        """Return what the restore would do."""
        return restoring.preview_restore(service)


class FullPreview(Preview):
    """Before every file is uploaded again."""

    def words(self, service: Service) -> dict[str, Any]:
        """Return the words of a full deploy."""
        return {
            "title": _("Full deploy"),
            "action": reverse("ftpdeploy_service_deploy", args=[service.pk]),
            "button": _("Upload everything"),
            "fields": {"full": "1"},
        }

    def preview(self, service: Service) -> Any:
        """Return what the full deploy would do."""
        return restoring.preview_full(service)


class ConfirmPreview(Preview):
    """Before a deploy goes on that stopped at the delete limit."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Find the deploy; the preview is that of its service."""
        services = services_for(self.request.user)
        self.deploy = get_object_or_404(Deploy, pk=self.kwargs["pk"], service__in=services)
        self.kwargs["pk"] = self.deploy.service_id
        return super().get_context_data(**kwargs)

    def words(self, service: Service) -> dict[str, Any]:
        """Return the words of the confirmation."""
        return {
            "title": _("Confirm the deletes"),
            "action": reverse("ftpdeploy_deploy_confirm_now", args=[self.deploy.pk]),
            "button": _("Deploy, and delete these files"),
            "danger": True,
        }

    def preview(self, service: Service) -> Any:
        """Return what the deploy would do."""
        return restoring.preview(service, self.deploy.after)


class RollBackPreview(Preview):
    """Before an earlier commit goes live again."""

    def words(self, service: Service) -> dict[str, Any]:
        """Return the words of a roll back."""
        commit = self.kwargs["commit"]
        return {
            "title": _("Roll back to %(commit)s") % {"commit": commit[:8]},
            "action": reverse("ftpdeploy_service_rollback_now", args=[service.pk]),
            "button": _("Roll back"),
            "fields": {"commit": commit},
        }

    def preview(self, service: Service) -> Any:
        """Return what the roll back would do."""
        return restoring.preview_rollback(service, self.kwargs["commit"])


class NotificationCard(Page, TemplateView):
    """The Notification card of Manage, changed in place."""

    permission_required = "ftp_deploy.change_service"

    def get_template_names(self) -> list[str]:
        """Return the card alone, or a page around it where no script runs."""
        part = "parts/notification_card.html" if self.request.headers.get("HX-Request") else "service_notification.html"
        return [f"ftp_deploy/server/{part}"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the choices; ``show`` asks for the card as it was."""
        service = service_of(self.request, self.kwargs["pk"])
        shown = "show" in self.request.GET or kwargs.pop("saved", False)
        choices = None if shown else notifications_for(self.request.user)
        return super().get_context_data(service=service, choices=choices, **kwargs)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Store the choice."""
        service = service_of(request, pk)
        chosen = request.POST.get("notification", "")
        sets = notifications_for(request.user)
        service.notification = get_object_or_404(sets, pk=number(chosen) or 0) if chosen else None
        service.save(update_fields=["notification"])
        audit.record(request, "change notification", service, to=str(service.notification or ""))
        if request.headers.get("HX-Request"):
            return self.render_to_response(self.get_context_data(saved=True))
        messages.success(request, _("The notification is changed."))
        return redirect("ftpdeploy_service_manage", pk)
