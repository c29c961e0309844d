"""How far a deploy is: numbers and words for the progress bar."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import capfirst

from ftp_deploy.deploys.sweep import last_sweep_age, stands_still
from ftp_deploy.models import Deploy

START = {
    Deploy.Phase.RECEIVED: 0,
    Deploy.Phase.FETCHING: 2,
    Deploy.Phase.PLANNING: 6,
    Deploy.Phase.UPLOADING: 8,
    Deploy.Phase.SWITCHING: 92,
    Deploy.Phase.CHECKING: 96,
    Deploy.Phase.FINISHING: 98,
}
"""Percent at which each phase begins; uploading grows by bytes from there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One unfinished deploy as the progress bar shows it. ``waiting`` counts the deploys behind it."""

    deploy: int
    service: int
    state: str
    phase: str
    phase_label: str
    percent: int
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    current_file: str
    seconds_left: int | None
    waiting: int

    def as_json(self) -> dict[str, Any]:
        """Return the values for a script."""
        return asdict(self)


def share_done(deploy: Deploy) -> float:
    """Return the share of the upload that is done, by bytes, or by files where all are empty."""
    if deploy.bytes_total:
        return min(deploy.bytes_done / deploy.bytes_total, 1.0)
    if deploy.files_total:
        return min(deploy.files_done / deploy.files_total, 1.0)
    return 0.0


def percent_of(deploy: Deploy) -> int:
    """Return how far the deploy is, 0 to 100."""
    phase = Deploy.Phase(deploy.phase)
    if deploy.state == Deploy.State.QUEUED:
        return 0
    if phase != Deploy.Phase.UPLOADING:
        return START[phase]
    room = START[Deploy.Phase.SWITCHING] - START[Deploy.Phase.UPLOADING]
    return START[Deploy.Phase.UPLOADING] + round(room * share_done(deploy))


def seconds_left(deploy: Deploy, now: datetime | None = None) -> int | None:
    """Estimate the rest of the upload from its speed so far, in seconds; None where nothing can be said yet."""
    began = parse_datetime(str(deploy.steps.get(Deploy.Phase.UPLOADING, ""))) if deploy.steps else None
    done = share_done(deploy)
    if deploy.phase != Deploy.Phase.UPLOADING or began is None or done < 0.02:
        return None
    spent = ((now or timezone.now()) - began).total_seconds()
    return round(spent / done * (1 - done)) if spent > 0 else None


def progress_of(deploy: Deploy, waiting: int = 0) -> Progress:
    """Return the progress of one deploy."""
    queued = deploy.state == Deploy.State.QUEUED
    return Progress(
        deploy=deploy.pk,
        service=deploy.service_id,
        state=deploy.state,
        phase=deploy.phase,
        phase_label=capfirst(deploy.get_state_display() if queued else deploy.get_phase_display()),
        percent=percent_of(deploy),
        files_done=deploy.files_done,
        files_total=deploy.files_total,
        bytes_done=deploy.bytes_done,
        bytes_total=deploy.bytes_total,
        current_file=deploy.current_file,
        seconds_left=seconds_left(deploy),
        waiting=waiting,
    )


PATIENCE = 15
"""Seconds that a deploy may wait before anybody is told that no worker has been seen."""


def lacks_worker(deploy: Deploy) -> bool:
    """Whether a deploy waits for some time and no worker did its periodic work lately."""
    if deploy.state != Deploy.State.QUEUED or (timezone.now() - deploy.created_at).total_seconds() < PATIENCE:
        return False
    return stands_still(last_sweep_age())


SHOWN = (
    "service_id",
    "state",
    "phase",
    "files_done",
    "files_total",
    "bytes_done",
    "bytes_total",
    "current_file",
    "steps",
    "cancel_requested",
    "created_at",
    "attempts",
    "next_attempt_at",
)


def current_deploys(services: list[int]) -> dict[int, tuple[Deploy, int]]:
    """Return, for each service with unfinished deploys, the running one (or the first in line) and how many wait."""
    found: dict[int, tuple[Deploy, int]] = {}
    counts = dict(
        Deploy.objects.unfinished()
        .filter(service__in=services)
        .order_by()
        .values_list("service")
        .annotate(number=Count("pk"))
    )
    if not counts:
        return found
    unfinished = Deploy.objects.unfinished().filter(service__in=list(counts)).only(*SHOWN).order_by("position", "pk")
    for deploy in unfinished[:1000]:
        known = found.get(deploy.service_id)
        if known is None or (deploy.state == Deploy.State.RUNNING and known[0].state != Deploy.State.RUNNING):
            found[deploy.service_id] = (deploy, counts[deploy.service_id] - 1)
    return found
