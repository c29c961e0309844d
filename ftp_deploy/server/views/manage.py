"""The page of one service: its health, its failed deploys, what it does now and did lately."""

import statistics
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.shortcuts import get_object_or_404
from django.views.generic import TemplateView

from ftp_deploy.access import services_for
from ftp_deploy.conf import conf
from ftp_deploy.deploys.restore import is_restorable
from ftp_deploy.models import Deploy, Service, ServiceManifest
from ftp_deploy.providers import has_api
from ftp_deploy.server import live
from ftp_deploy.server.overview import Counts, Row, counts_of
from ftp_deploy.server.progress import current_deploys, lacks_worker, progress_of
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.live import Live

RECENT = 15
CHARTED = 40
RESTORE_SHOWN = 50
LISTED = (
    "service_id",
    "kind",
    "state",
    "branch",
    "after",
    "commit",
    "commits",
    "commits_complete",
    "user_name",
    "created_at",
    "started_at",
    "finished_at",
    "error",
    "error_kind",
    "files_added",
    "files_modified",
    "files_removed",
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One deploy in the small chart, in units of its view box (height 40, 8 wide)."""

    x: int
    y: float
    height: float
    tone: str


def bars_of(deploys: list[tuple[str, timedelta]]) -> list[Bar]:
    """Return the bars of a service's last deploys, oldest first; the longest fills the height."""
    longest = max((span.total_seconds() for _state, span in deploys), default=0) or 1
    tones = {Deploy.State.SUCCEEDED: "good", Deploy.State.FAILED: "bad"}
    bars = []
    offset = CHARTED - len(deploys)
    for number, (state, span) in enumerate(deploys):
        height = max(36 * span.total_seconds() / longest, 3)
        tone = tones.get(Deploy.State(state), "rest")
        bars.append(Bar((offset + number) * 8, 40 - height, height, tone))
    return bars


def timings(service: Service) -> tuple[list[Bar], timedelta | None]:
    """Return the chart of the last finished deploys and the median duration of those that went live."""
    found = list(
        Deploy.objects.filter(service=service, started_at__isnull=False, finished_at__isnull=False)
        .order_by("-pk")
        .values_list("state", "started_at", "finished_at")[:CHARTED]
    )
    spans = [(state, finished - started) for state, started, finished in reversed(found) if started and finished]
    good = [span.total_seconds() for state, span in spans if state == Deploy.State.SUCCEEDED]
    return bars_of(spans), timedelta(seconds=statistics.median(good)) if good else None


def hook_state(service: Service) -> str:
    """Return what the last check said of the hook: ok, failed, or empty where it was not asked."""
    for check in service.checks:
        if check.get("name") == "hook":
            return str(check.get("state", ""))
    return ""


def fingerprint(service: Service, counts: Counts, *, stuck: bool = False) -> str:
    """Return the version of what the page shows, progress left out. ``stuck``: what waits lacks a worker."""
    latest = Deploy.objects.filter(service=service).order_by("-pk")
    states = list(latest.values_list("pk", "state", "cancel_requested")[:RECENT])
    return live.version(states, service.status, str(service.checked_at), service.enabled, counts, stuck)


class Manage(Page, TemplateView):
    """One service."""

    template_name = "ftp_deploy/server/manage.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return everything about the service that the page shows."""
        services = services_for(self.request.user).select_related("notification", "account")
        service = get_object_or_404(services, pk=self.kwargs["pk"])
        recent = list(Deploy.objects.filter(service=service).only(*LISTED).order_by("-pk")[:RECENT])
        failed = Deploy.objects.filter(service=service).failed().in_order()
        failed_rows = list(failed.only(*LISTED)[:RESTORE_SHOWN])
        running = current_deploys([service.pk]).get(service.pk)
        stuck = running is not None and lacks_worker(running[0])
        bars, median = timings(service)
        counts = counts_of([service.pk])[service.pk]
        return super().get_context_data(
            service=service,
            row=Row(service, recent[0] if recent else None, counts=counts),
            recent=recent,
            last=recent[0] if recent else None,
            failed=failed_rows,
            current=running[0] if running else None,
            progress=progress_of(*running) if running else None,
            lacks_worker=stuck,
            restorable={deploy.pk for deploy in failed_rows if is_restorable(deploy)},
            hook_state=hook_state(service),
            hook_by_hand=not has_api(service.provider, conf.PROVIDERS),
            bars=bars,
            median=median,
            manifest=ServiceManifest.objects.filter(service=service).defer("data").first(),
            version=fingerprint(service, counts, stuck=stuck),
            **kwargs,
        )


class ManageLive(Live):
    """What moved on the page of a service."""

    def check_sight(self) -> None:
        """Raise ``Http404`` for a service that the person may not see."""
        get_object_or_404(services_for(self.request.user).only("pk"), pk=self.kwargs["pk"])

    def news(self) -> tuple[dict[str, Any], bool]:
        """Return the page's version and the progress of what runs."""
        pk = self.kwargs["pk"]
        service = get_object_or_404(Service.objects.only("status", "checked_at", "enabled"), pk=pk)
        running = current_deploys([pk]).get(pk)
        progress = {pk: progress_of(*running).as_json()} if running else {}
        stuck = running is not None and lacks_worker(running[0])
        version = fingerprint(service, counts_of([pk])[pk], stuck=stuck)
        return {"version": version, "progress": progress}, bool(running)
