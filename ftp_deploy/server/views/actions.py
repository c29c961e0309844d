"""What people do to a service or a deploy with one click: POST, with its permission, written down."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from ftp_deploy import audit, hooks, inspections, tasks
from ftp_deploy.access import services_for
from ftp_deploy.deploys import queue
from ftp_deploy.deploys import restore as restoring
from ftp_deploy.exceptions import ConfigurationError, FTPDeployError
from ftp_deploy.models import Deploy, Service
from ftp_deploy.server.overview import Row, counts_of
from ftp_deploy.server.views.base import Page
from ftp_deploy.validation import validate


def refusal(error: FTPDeployError) -> str:
    """Return the sentence for a person: what went wrong and what to do."""
    return f"{error.message} {error.advice}".strip()


class ServiceAction(Page):
    """Does one thing to one service and goes back to where the person was."""

    http_method_names = ["post"]
    permission_required = "ftp_deploy.change_service"
    action = ""

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Act, write it down, and go back; a refusal of the core becomes a message."""
        self.service = get_object_or_404(services_for(request.user).select_related("account"), pk=pk)
        try:
            said = self.act(self.service)
        except FTPDeployError as error:
            messages.error(request, refusal(error))
        else:
            audit.record(request, self.action, self.service, **self.detail())
            messages.success(request, said)
        return self.answer()

    def act(self, service: Service) -> str:
        """Do it and return the sentence that confirms it."""
        raise NotImplementedError

    def detail(self) -> dict[str, Any]:
        """Return what the audit log keeps beside action and service."""
        return {}

    def answer(self) -> HttpResponseBase:
        """Go back to the page that asked, or to the service."""
        back = self.request.POST.get("next", "")
        if url_has_allowed_host_and_scheme(back, {self.request.get_host()}) and not urlsplit(back).netloc:
            return HttpResponseRedirect(back)
        return HttpResponseRedirect(reverse("ftpdeploy_service_manage", args=[self.service.pk]))


class DeployNow(ServiceAction):
    """Deploy the branch as it stands; with ``full`` in the form, every file again."""

    permission_required = "ftp_deploy.deploy_service"
    action = "deploy"

    def act(self, service: Service) -> str:
        """Queue it."""
        self.full = self.request.POST.get("full") == "1"
        self.deploy = queue.deploy_now(service, self.request.user, full=self.full)
        return _("The full deploy is on its way.") if self.full else _("The deploy is on its way.")

    def detail(self) -> dict[str, Any]:
        """Keep which deploy it was."""
        return {"deploy": self.deploy.pk, "full": self.full}


class Restore(ServiceAction):
    """Put the failed deploys live that were not skipped."""

    permission_required = "ftp_deploy.restore_service"
    action = "restore"

    def act(self, service: Service) -> str:
        """Queue it."""
        self.deploy = restoring.restore(service, self.request.user)
        return _("The restore is on its way.")

    def detail(self) -> dict[str, Any]:
        """Keep which deploy it was."""
        return {"deploy": self.deploy.pk}


class RollBack(Restore):
    """Put an earlier commit live again."""

    permission_required = "ftp_deploy.restore_service"
    action = "roll back"

    def act(self, service: Service) -> str:
        """Queue it."""
        self.commit = self.request.POST.get("commit", "")
        self.deploy = restoring.roll_back(service, self.commit, self.request.user)
        return _("The roll back is on its way.")


class CheckService(ServiceAction):
    """Check both ends of the service; takes up to 15 seconds."""

    permission_required = "ftp_deploy.change_service"
    action = "check"

    def act(self, service: Service) -> str:
        """Run the checks now, so that the answer shows them."""
        validate(service)
        service.refresh_from_db()
        if service.status == Service.Status.OK:
            return _("All checks passed.")
        return _("The check found something. See Status.")

    def answer(self) -> HttpResponseBase:
        """Answer htmx with the new status mark alone."""
        if self.request.headers.get("HX-Request"):
            list(messages.get_messages(self.request))
            part = "status_card" if self.request.headers.get("HX-Target") == "status-card" else "status_button"
            row = Row(self.service, counts=counts_of([self.service.pk])[self.service.pk])
            return render(self.request, f"ftp_deploy/server/parts/{part}.html", {"service": self.service, "row": row})
        return super().answer()


class SwitchService(ServiceAction):
    """Switch the service on, or off for a while: pushes are answered, but nothing is deployed."""

    def act(self, service: Service) -> str:
        """Switch it to what the button said: a second click on an old page changes nothing."""
        service.enabled = self.request.POST.get("enabled") == "1"
        service.save(update_fields=["enabled"])
        self.action = "switch on" if service.enabled else "switch off"
        if service.enabled:
            return _("The service is switched on: the next push goes live. Deploy now brings what was missed.")
        return _("The service is switched off: pushes are answered, but nothing is deployed.")


class AcceptFingerprint(ServiceAction):
    """Accept the host key or certificate that the last check saw, and check again."""

    action = "accept fingerprint"

    def act(self, service: Service) -> str:
        """Store it. What the last check did not see is refused: the person may look at an old page."""
        name, offered = (self.request.POST.get(field, "") for field in ("check", "fingerprint"))
        seen = [check.get("fingerprint") for check in service.checks if check.get("name") == name]
        if not offered or seen != [offered]:
            raise ConfigurationError(
                _("The last check saw another fingerprint."), advice=_("Look at the status again, and compare anew.")
            )
        self.field = "fingerprint" if name in inspections.COVERED["server"] else "repository_fingerprint"
        setattr(service, self.field, offered)
        service.save(update_fields=[self.field])
        tasks.send("ftp_deploy.validate", service.pk)
        return _("The fingerprint is accepted; the checks run again.")

    def detail(self) -> dict[str, Any]:
        """Keep which one it was."""
        return {self.field: getattr(self.service, self.field)}


class AddHook(ServiceAction):
    """Add the hook to the repository, or mend it."""

    action = "add hook"

    def act(self, service: Service) -> str:
        """Ask the forge, then check the service again in the background."""
        hooks.install_hook(service, self.request)
        tasks.send("ftp_deploy.validate", service.pk)
        return _("The hook is set up. Pushes now reach this service.")


class RenewKeys(ServiceAction):
    """Give the service a new security key and hook secret, and change the hook on the forge with them."""

    action = "renew keys"

    def act(self, service: Service) -> str:
        """Change both and the hook; where the forge refuses, nothing is changed."""
        changed = hooks.renew_keys(service, self.request)
        tasks.send("ftp_deploy.validate", service.pk)
        if changed:
            return _("The keys are new, and the hook on the forge has them.")
        return _("The keys are new. Add the hook again.")


class DeployAction(ServiceAction):
    """Does one thing to one deploy."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Find the deploy among those of the services that the person sees."""
        services = services_for(request.user)
        self.deploy = get_object_or_404(Deploy.objects.select_related("service"), pk=pk, service__in=services)
        return super().post(request, self.deploy.service_id)

    def detail(self) -> dict[str, Any]:
        """Keep which deploy it was."""
        return {"deploy": self.deploy.pk}


class Cancel(DeployAction):
    """Stop a deploy that waits, or that runs and has not switched yet."""

    permission_required = "ftp_deploy.deploy_service"
    action = "cancel"

    def act(self, service: Service) -> str:
        """Ask the worker to stop."""
        queue.cancel(self.deploy, self.request.user)
        return _("The deploy is being cancelled.")


class Skip(DeployAction):
    """Leave a failed deploy out of the next restore."""

    permission_required = "ftp_deploy.skip_deploy"
    action = "skip"

    def act(self, service: Service) -> str:
        """Skip it."""
        restoring.skip(self.deploy, self.request.user)
        return _("The deploy is skipped.")


class Retry(DeployAction):
    """Try a failed deploy again."""

    permission_required = "ftp_deploy.deploy_service"
    action = "retry"

    def act(self, service: Service) -> str:
        """Queue it again."""
        self.deploy = queue.retry(self.deploy, self.request.user)
        return _("The deploy is on its way again.")


class ConfirmDeletes(Retry):
    """Go on with a deploy that stopped at the delete limit."""

    action = "confirm deletes"

    def act(self, service: Service) -> str:
        """Queue it again, this time with its deletes allowed."""
        self.deploy = queue.confirm_deletes(self.deploy, self.request.user)
        return _("The deletes are confirmed; the deploy is on its way.")
