"""The figures of the statistics page, over a time and for one service or all."""

import statistics
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import ExtractHour, TruncDate

from ftp_deploy.models import Deploy

OUTCOMES = ("succeeded", "failed", "skipped", "other")
SPAN = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
LIVE = Q(state__in=[Deploy.State.SUCCEEDED, Deploy.State.RESTORED])
BROKEN = Q(state__in=[Deploy.State.FAILED, Deploy.State.SKIPPED, Deploy.State.RESTORED])
RECOVERIES = 500
"""The time to recover is the median over this many of the latest failures."""
TOP = 15


@dataclass(slots=True)
class Figures:
    """Everything that the page shows."""

    days: list[date]
    by_day: dict[str, list[int]] = field(default_factory=dict)
    by_hour: list[int] = field(default_factory=list)
    by_user: list[Any] = field(default_factory=list)
    by_service: list[Any] = field(default_factory=list)
    deploys: int = 0
    succeeded: int = 0
    failed: int = 0
    files: int = 0
    bytes: int = 0
    median: timedelta | None = None
    slowest: timedelta | None = None
    recovery: timedelta | None = None

    @property
    def rate(self) -> float | None:
        """Share of the decided deploys that went live at once, in percent; None where none is decided."""
        decided = self.succeeded + self.failed
        return round(100 * self.succeeded / decided, 1) if decided else None

    def table(self) -> list[dict[str, Any]]:
        """Return the days with their outcomes, newest first, those without a deploy left out."""
        rows = [
            {"day": day, **{outcome: self.by_day[outcome][number] for outcome in OUTCOMES}}
            for number, day in enumerate(self.days)
        ]
        return [row for row in reversed(rows) if any(row[outcome] for outcome in OUTCOMES)]


def outcome_of(state: str) -> str:
    """Return which column a state counts in."""
    known = {Deploy.State.SUCCEEDED: "succeeded", Deploy.State.FAILED: "failed", Deploy.State.SKIPPED: "skipped"}
    return {**known, Deploy.State.RESTORED: "failed"}.get(Deploy.State(state), "other")


def collect(deploys: QuerySet[Deploy], since: datetime, until: datetime, zone: tzinfo) -> Figures:
    """Count the deploys that arrived from ``since`` to ``until``; days and hours are those of ``zone``."""
    first, last = since.astimezone(zone).date(), until.astimezone(zone).date()
    figures = Figures([first + timedelta(days=number) for number in range((last - first).days + 1)])
    chosen = deploys.filter(created_at__gte=since, created_at__lt=until).order_by()
    count_days(figures, chosen, zone)
    count_totals(figures, chosen)
    figures.by_hour = count_hours(chosen, zone)
    figures.by_user = list(
        chosen.exclude(user_name="")
        .values("user_name")
        .annotate(number=Count("pk"), broken=Count("pk", filter=BROKEN))
        .order_by("-number")[:TOP]
    )
    figures.by_service = list(
        chosen.values("service", "service__repository_name", "service__branch")
        .annotate(number=Count("pk"), live=Count("pk", filter=LIVE), broken=Count("pk", filter=BROKEN))
        .order_by("-number")[:TOP]
    )
    figures.median = median_span(chosen)
    figures.recovery = recovery_time(chosen)
    return figures


def count_days(figures: Figures, deploys: QuerySet[Deploy], zone: tzinfo) -> None:
    """Fill the deploys per day by outcome."""
    places = {day: number for number, day in enumerate(figures.days)}
    figures.by_day = {outcome: [0] * len(figures.days) for outcome in OUTCOMES}
    found = deploys.annotate(day=TruncDate("created_at", tzinfo=zone)).values_list("day", "state")
    for day, state, number in found.annotate(number=Count("pk")):
        if day in places:
            figures.by_day[outcome_of(state)][places[day]] += number


def count_totals(figures: Figures, deploys: QuerySet[Deploy]) -> None:
    """Fill the totals."""
    totals = deploys.aggregate(
        number=Count("pk"),
        live=Count("pk", filter=Q(state=Deploy.State.SUCCEEDED)),
        broken=Count("pk", filter=BROKEN),
        added=Sum("files_added"),
        modified=Sum("files_modified"),
        removed=Sum("files_removed"),
        sent=Sum("bytes_done"),
        slowest=Max(SPAN, filter=Q(state=Deploy.State.SUCCEEDED)),
    )
    figures.deploys, figures.succeeded, figures.failed = totals["number"], totals["live"], totals["broken"]
    figures.files = sum(totals[name] or 0 for name in ("added", "modified", "removed"))
    figures.bytes = totals["sent"] or 0
    figures.slowest = totals["slowest"]


def count_hours(deploys: QuerySet[Deploy], zone: tzinfo) -> list[int]:
    """Return the deploys per hour of the day."""
    hours = [0] * 24
    for hour, number in (
        deploys.annotate(hour=ExtractHour("created_at", tzinfo=zone)).values_list("hour").annotate(number=Count("pk"))
    ):
        hours[hour] = number
    return hours


def median_span(deploys: QuerySet[Deploy]) -> timedelta | None:
    """Return the median duration of the deploys that went live."""
    timed = deploys.filter(state=Deploy.State.SUCCEEDED, started_at__isnull=False, finished_at__isnull=False)
    number = timed.count()
    if not number:
        return None
    middle: timedelta = timed.annotate(span=SPAN).order_by("span").values_list("span", flat=True)[number // 2]
    return middle


def recovery_time(deploys: QuerySet[Deploy]) -> timedelta | None:
    """Return the median time from a failure to the next deploy of the same service that went live."""
    mended = Deploy.objects.filter(
        service=OuterRef("service"), pk__gt=OuterRef("pk"), state=Deploy.State.SUCCEEDED
    ).order_by("pk")
    found = (
        deploys.filter(BROKEN, finished_at__isnull=False)
        .order_by("-pk")
        .annotate(mended_at=Subquery(mended.values("finished_at")[:1]))
        .values_list("finished_at", "mended_at")[:RECOVERIES]
    )
    spans = [(mended_at - at).total_seconds() for at, mended_at in found if mended_at and mended_at > at]
    return timedelta(seconds=statistics.median(spans)) if spans else None
