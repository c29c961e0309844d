"""The page of one deploy: its steps, commits, files and log, live."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from ftp_deploy.access import services_for
from ftp_deploy.models import Deploy, LogLine
from ftp_deploy.server import live
from ftp_deploy.server.progress import lacks_worker, progress_of
from ftp_deploy.server.views.base import Page
from ftp_deploy.server.views.live import Live

LINES_AT_ONCE = 2000
FIRST_LINES = 200
FILES_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Step:
    """One step as the page shows it: ``state`` is done, now, failed, stopped or pending."""

    label: str
    state: str
    began: datetime | None
    took: timedelta | None


def step_labels() -> dict[str, tuple[str, str]]:
    """Return the steps in order: what each is called before its end, and after it."""
    return {
        Deploy.Phase.RECEIVED: (_("Receive"), _("Received")),
        Deploy.Phase.FETCHING: (_("Fetch"), _("Fetched")),
        Deploy.Phase.PLANNING: (_("Plan"), _("Planned")),
        Deploy.Phase.UPLOADING: (_("Upload"), _("Uploaded")),
        Deploy.Phase.SWITCHING: (_("Switch"), _("Switched")),
        Deploy.Phase.CHECKING: (_("Call"), _("Called")),
        Deploy.Phase.FINISHING: (_("Notify"), _("Notified")),
    }


REACHED = {
    Deploy.State.SUCCEEDED: "done",
    Deploy.State.RUNNING: "now",
    Deploy.State.QUEUED: "now",
    Deploy.State.CANCELLED: "stopped",
    Deploy.State.SUPERSEDED: "stopped",
}
"""How the step that a deploy has reached is shown; one that failed for all others."""


def steps_of(deploy: Deploy) -> list[Step]:
    """Return the steps of a deploy with state and time each; the calls only where there were some."""
    labels = {
        name: label for name, label in step_labels().items() if name != Deploy.Phase.CHECKING or name in deploy.steps
    }
    began = {name: parse_datetime(str(deploy.steps.get(name, ""))) for name in labels}
    began[Deploy.Phase.RECEIVED] = began[Deploy.Phase.RECEIVED] or deploy.created_at
    names = list(labels)
    reached = names.index(deploy.phase) if deploy.phase in names else 0
    steps = []
    for number, name in enumerate(names):
        state = "done" if number < reached or deploy.state == Deploy.State.SUCCEEDED else "pending"
        if number == reached:
            state = REACHED.get(Deploy.State(deploy.state), "failed")
        began_at = began[name] if state != "pending" else None
        following = [began[later] for later in names[number + 1 :] if began[later]]
        ended = following[0] if following else deploy.finished_at
        took = ended - began_at if began_at and ended and ended >= began_at else None
        steps.append(Step(labels[name][state == "done"], state, began_at, took))
    return steps


def fingerprint(deploy: Deploy) -> str:
    """Return the version of what the page shows, progress and log left out."""
    return live.version(
        () if deploy.is_final else (*places(deploy), lacks_worker(deploy)),
        deploy.state,
        deploy.phase,
        deploy.attempts,
        deploy.cancel_requested,
        str(deploy.finished_at),
        deploy.files_total,
    )


def places(deploy: Deploy) -> tuple[int, int]:
    """Return how many unfinished deploys of the service come before and after this one."""
    others = Deploy.objects.unfinished().filter(service=deploy.service_id).exclude(pk=deploy.pk).order_by()
    earlier = Q(position__lt=deploy.position) | Q(position=deploy.position, pk__lt=deploy.pk)
    found = others.aggregate(ahead=Count("pk", filter=earlier), total=Count("pk"))
    ahead = 0 if deploy.state == Deploy.State.RUNNING else found["ahead"]
    return ahead, found["total"] - ahead


def as_row(line: tuple[int, datetime, str, str]) -> list[Any]:
    """Return a log line for the script: time in ms, level, text."""
    _pk, at, level, text = line
    return [int(at.timestamp() * 1000), level, text]


class DeployPage(Page, TemplateView):
    """One deploy, with an address of its own to share."""

    template_name = "ftp_deploy/server/deploy.html"

    def get_template_names(self) -> list[str]:
        """Send the file list alone where only its search changed."""
        if self.request.headers.get("HX-Target") == "files":
            return ["ftp_deploy/server/parts/files.html"]
        return [self.template_name]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return everything about the deploy that the page shows."""
        services = services_for(self.request.user)
        deploy = get_object_or_404(
            Deploy.objects.select_related("service__account", "requested_by", "run").defer("payload"),
            pk=self.kwargs["pk"],
            service__in=services,
        )
        return super().get_context_data(
            deploy=deploy,
            service=deploy.service,
            steps=steps_of(deploy),
            **self.progress(deploy),
            current=deploy,
            on_deploy_page=True,
            version=fingerprint(deploy),
            included=list(deploy.included.only("pk", "kind", "after", "branch", "state")[:50]),
            failed_alone=deploy.state == Deploy.State.FAILED,
            can_roll_back=deploy.state in (Deploy.State.SUCCEEDED, Deploy.State.RESTORED) and bool(deploy.commit),
            **self.files(deploy),
            **self.log(deploy),
            **kwargs,
        )

    def progress(self, deploy: Deploy) -> dict[str, Any]:
        """Return how far it is, and how many deploys of the service come before it; nothing once it is over."""
        if deploy.is_final:
            return {}
        ahead, behind = places(deploy)
        return {"progress": progress_of(deploy, behind), "ahead": ahead, "lacks_worker": lacks_worker(deploy)}

    def files(self, deploy: Deploy) -> dict[str, Any]:
        """Return one page of the file changes that match the search."""
        text = self.request.GET.get("file", "").replace("\0", "").strip()
        changes = deploy.changes.all()
        if text:
            changes = changes.filter(path__icontains=text)
        page = Paginator(changes.order_by("pk"), FILES_PER_PAGE).get_page(self.request.GET.get("files"))
        return {"changes": page, "file_text": text}

    def log(self, deploy: Deploy) -> dict[str, Any]:
        """Return the last lines of the log; the script loads the rest from the beginning."""
        lines = list(deploy.log_lines.order_by("-pk")[: FIRST_LINES + 1])
        return {"lines": lines[:FIRST_LINES][::-1], "more_lines": len(lines) > FIRST_LINES}


class DeployLive(Live):
    """What moved on a deploy's page: version, progress, and the log lines after ``after``."""

    def check_sight(self) -> None:
        """Raise ``Http404`` for a deploy that the person may not see."""
        services = services_for(self.request.user)
        get_object_or_404(Deploy.objects.only("pk"), pk=self.kwargs["pk"], service__in=services)

    def news(self) -> tuple[dict[str, Any], bool]:
        """Return what is new."""
        deploys = Deploy.objects.defer("payload", "commits", "warnings", "error")
        deploy = get_object_or_404(deploys, pk=self.kwargs["pk"])
        asked = self.request.GET.get("after", "0")
        after = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else 0
        found = LogLine.objects.filter(deploy=deploy.pk, pk__gt=after).order_by("pk")
        lines = list(found.values_list("pk", "at", "level", "text")[:LINES_AT_ONCE])
        full = len(lines) == LINES_AT_ONCE
        content = {
            "version": fingerprint(deploy),
            "progress": {} if deploy.is_final else {deploy.service_id: progress_of(deploy).as_json()},
            "lines": [as_row(line) for line in lines],
            "after": lines[-1][0] if lines else after,
            "more": full,
            "final": deploy.is_final and not full and self.is_quiet(deploy),
        }
        return content, not deploy.is_final

    def is_quiet(self, deploy: Deploy) -> bool:
        """Whether nothing more will be written to the log: some seconds passed since the end."""
        return deploy.finished_at is None or (timezone.now() - deploy.finished_at).total_seconds() > 20


class DeployLog(Page):
    """The whole log as text."""

    def get(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """Stream it."""
        deploy = get_object_or_404(Deploy.objects.only("pk"), pk=pk, service__in=services_for(request.user))
        response = StreamingHttpResponse(log_text(deploy.pk), content_type="text/plain; charset=utf-8")
        response.headers["Content-Disposition"] = f'attachment; filename="deploy-{deploy.pk}.log"'
        return response


def log_text(deploy: int) -> Iterator[str]:
    """Yield the lines of a log, times in UTC."""
    lines = LogLine.objects.filter(deploy=deploy).order_by("pk").values_list("at", "level", "text")
    for at, level, text in lines.iterator(chunk_size=2000):
        yield f"{at:%Y-%m-%dT%H:%M:%S.%f}Z {level.upper():7} {text}\n"
