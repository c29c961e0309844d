"""Verify: does the server still hold what we put there?"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from ftp_deploy import audit
from ftp_deploy.command_line import command
from ftp_deploy.deploys.verify import verify
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.dialogs import service_of

SHOWN = 500
LONGEST = 25.0
"""Seconds after which the page stops listing: the command ``verify`` takes the time that it needs."""


class Verify(Page, TemplateView):
    """Lists the server and compares it with the manifest, as the command ``verify`` does."""

    permission_required = "ftp_deploy.deploy_service"
    template_name = "ftp_deploy/server/verify.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the service."""
        service = service_of(self.request, self.kwargs["pk"])
        return super().get_context_data(service=service, line=command(f"verify {service.pk}"), **kwargs)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, and show what differs."""
        service = service_of(request, pk)
        context: dict[str, Any] = {"service": service, "line": command(f"verify {service.pk}")}
        try:
            report = verify(service, seconds=LONGEST)
        except FTPDeployError as error:
            context["error"] = error
        else:
            audit.record(request, "verify", service, differing=len(report.missing) + len(report.different))
            context["report"] = report
            context["lists"] = [
                (_("Missing on the server"), "bad", report.missing[:SHOWN], len(report.missing)),
                (_("Another size on the server"), "warn", report.different[:SHOWN], len(report.different)),
                (_("On the server, but from no deploy"), "muted", report.unknown[:SHOWN], len(report.unknown)),
            ]
        return render(request, self.template_name, context)
