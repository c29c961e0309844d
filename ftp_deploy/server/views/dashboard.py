"""The dashboard: all services at a glance."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Max
from django.views.generic import TemplateView

from ftp_deploy.access import services_for
from ftp_deploy.models import Account, Deploy, Service
from ftp_deploy.models.account import settings_login
from ftp_deploy.models.choices import provider_choices
from ftp_deploy.server import live, overview
from ftp_deploy.server.progress import current_deploys, progress_of
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.live import Live

PER_PAGE = 25


def fingerprint(services: list[int]) -> str:
    """Return the version of the dashboard's list for the given services."""
    states = {
        pk: [*shown, str(checked_at)]
        for pk, checked_at, *shown in Service.objects.filter(pk__in=services).values_list(
            "pk", "checked_at", "status", "enabled"
        )
    }
    failed = Deploy.objects.failed().filter(service__in=services).count()
    newest = Deploy.objects.aggregate(newest=Max("pk"))["newest"]
    unfinished = list(Deploy.objects.unfinished().order_by("pk").values_list("pk", "state")[:200])
    return live.version(sorted(states.items()), newest, unfinished, failed)


def has_login() -> bool:
    """Whether a forge's login is known, from an account or from the project's settings."""
    return any(settings_login(name).password for name, _label in provider_choices()) or Account.objects.exists()


class Dashboard(Page, TemplateView):
    """The list of services, 25 a page, with filters."""

    template_name = "ftp_deploy/server/dashboard.html"

    def get_template_names(self) -> list[str]:
        """Send the list alone where only the filter changed."""
        if self.request.headers.get("HX-Target") == "services":
            return ["ftp_deploy/server/parts/services.html"]
        return [self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the page of services that match the filters."""
        asked = self.request.GET
        filters = {name: asked.get(name, "").strip() for name in ("text", "state", "provider")}
        mine = services_for(self.request.user)
        found = overview.narrowed(overview.ordered(mine), **filters).only(*overview.LIST_FIELDS)
        page = Paginator(found, PER_PAGE).get_page(asked.get("page"))
        rows = overview.rows_of(page)
        ids = [row.service.pk for row in rows]
        return super().get_context_data(
            rows=rows,
            page=page,
            ids=",".join(map(str, ids)),
            filters=filters,
            filtered=any(filters.values()),
            newcomer=not ids and not any(filters.values()),
            has_account=bool(ids) or has_login(),
            states=overview.STATES,
            providers=list(provider_choices()),
            version=fingerprint(ids),
            **kwargs,
        )


class DashboardLive(Live):
    """What moved on the dashboard: a version of the list, and the progress of what runs."""

    shared = False

    def news(self) -> tuple[dict[str, Any], bool]:
        """Return it for the services named in ``ids``, as far as the person sees them."""
        asked = self.request.GET.get("ids", "").split(",")
        named = [int(pk) for pk in asked if pk.isascii() and pk.isdigit() and len(pk) < 19][:PER_PAGE]
        ids = list(services_for(self.request.user).filter(pk__in=named).values_list("pk", flat=True))
        progress = {pk: progress_of(*found).as_json() for pk, found in current_deploys(ids).items()}
        return {"version": fingerprint(ids), "progress": progress}, bool(progress)
