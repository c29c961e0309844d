"""The services as the dashboard lists them: failing ones first, then by last activity, with their counters."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum, Value, When

from ftp_deploy.models import Deploy, Service, Tally
from ftp_deploy.server.progress import Progress, current_deploys, progress_of

STATES = ("failing", "running", "ok", "unchecked", "disabled")
LIST_FIELDS = (
    "repository_name",
    "repository_slug",
    "branch",
    "provider",
    "host",
    "path",
    "enabled",
    "status",
    "status_message",
    "checks",
    "checked_at",
)


class Counts(NamedTuple):
    """How many deploys of a service went live (at once or by a restore), failed and wait, and were skipped."""

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(slots=True)
class Row:
    """One service in the list."""

    service: Service
    last: Deploy | None = None
    progress: Progress | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def failing(self) -> bool:
        """Whether a failed deploy waits to be restored, or the last check found something."""
        return bool(self.counts.failed) or self.service.status == Service.Status.FAILING


def ordered(services: QuerySet[Service]) -> QuerySet[Service]:
    """Return the services, failing ones first, then by last activity."""
    deploys = Deploy.objects.filter(service=OuterRef("pk"))
    return services.annotate(
        last_deploy=Subquery(deploys.order_by("-pk").values("pk")[:1]),
        has_failed=Exists(deploys.filter(state=Deploy.State.FAILED)),
        rank=Case(
            When(Q(has_failed=True) | Q(status=Service.Status.FAILING), then=Value(0)),
            default=Value(1),
            output_field=IntegerField(),
        ),
    ).order_by("rank", F("last_deploy").desc(nulls_last=True), "repository_name", "pk")


def named(services: QuerySet[Service], text: str) -> QuerySet[Service]:
    """Return the services with each word of ``text`` in their name, slug, branch or host."""
    for word in text.replace("\0", "").split():  # PostgreSQL refuses NUL in any text
        services = services.filter(
            Q(repository_name__icontains=word)
            | Q(repository_slug__icontains=word)
            | Q(branch__icontains=word)
            | Q(host__icontains=word)
        )
    return services


def narrowed(services: QuerySet[Service], text: str = "", state: str = "", provider: str = "") -> QuerySet[Service]:
    """Return the services that match what a person typed and chose."""
    services = named(services, text)
    if provider:
        services = services.filter(provider=provider.replace("\0", ""))
    unfinished = Deploy.objects.unfinished().filter(service=OuterRef("pk"))
    conditions: dict[str, Any] = {
        "failing": Q(has_failed=True) | Q(status=Service.Status.FAILING),
        "running": Exists(unfinished),
        "ok": Q(has_failed=False, status=Service.Status.OK),
        "unchecked": Q(status=Service.Status.UNKNOWN),
        "disabled": Q(enabled=False),
    }
    return services.filter(conditions[state]) if state in conditions else services


def counts_of(services: Iterable[int]) -> dict[int, Counts]:
    """Return the counters of each service: from the tallies, and from the rows that failed and wait."""
    ids = list(services)
    waiting = Deploy.objects.failed().filter(service__in=ids).order_by().values_list("service")
    failed = dict(waiting.annotate(number=Count("pk")))
    counts = {pk: Counts(failed=failed.get(pk, 0)) for pk in ids}
    weeks = Tally.objects.filter(service__in=ids, span=Tally.Span.WEEK).order_by().values_list("service")
    for pk, succeeded, broken, skipped in weeks.annotate(Sum("succeeded"), Sum("failed"), Sum("skipped")):
        restored = max(broken - counts[pk].failed, 0)
        counts[pk] = Counts(succeeded + restored, counts[pk].failed, skipped)
    return counts


def rows_of(services: Iterable[Service]) -> list[Row]:
    """Return the rows of the given services (from ``ordered``) in three queries."""
    listed = list(services)
    ids = [service.pk for service in listed]
    counts = counts_of(ids)
    last_ids = [service.last_deploy for service in listed if service.last_deploy]  # type: ignore[attr-defined]
    last = {
        deploy.service_id: deploy
        for deploy in Deploy.objects.filter(pk__in=last_ids).only(
            "service_id", "state", "kind", "user_name", "created_at", "finished_at", "after", "commit"
        )
    }
    running = current_deploys(ids)
    return [
        Row(
            service,
            last.get(service.pk),
            progress_of(*running[service.pk]) if service.pk in running else None,
            counts[service.pk],
        )
        for service in listed
    ]
