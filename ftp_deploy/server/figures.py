"""The figures of the statistics page, over a time and for one service or several.

What is counted comes from the tallies, so a year of a million deploys costs a few milliseconds. How long, at which hour
and by whom is told from the latest deploys of the time, at most ``SAMPLE`` of them.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

from django.db.models import F, Max, Q, QuerySet, Sum
from django.utils import timezone

from ftp_deploy.deploys.tallies import SUMS, week_of
from ftp_deploy.models import Deploy, Service, Tally

OUTCOMES = ("succeeded", "failed", "skipped", "other")
BROKEN = {Deploy.State.FAILED, Deploy.State.SKIPPED, Deploy.State.RESTORED}
SAMPLE = 1000
"""Durations, hours, people and recoveries are those of this many of the latest deploys."""
DAILY = 92
"""The longest time, in days, that is shown day by day; a longer one is shown by weeks."""
WEEKLY = 21
"""The shortest time, in days, whose sums by service are taken from whole weeks and the days around them."""
TOP = 15
Seen = QuerySet[Service] | list[int] | None
"""Services, or their numbers; None means all of them."""
ALL = F("succeeded") + F("failed") + F("skipped") + F("other")


class Ended(NamedTuple):
    """One deploy of the sample."""

    service: int
    state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    user: str


@dataclass(slots=True)
class Figures:
    """Everything that the page shows. ``days`` are the first days of the weeks where ``weekly``."""

    days: list[date]
    weekly: bool = False
    by_day: dict[str, list[int]] = field(default_factory=dict)
    by_hour: list[int] = field(default_factory=list)
    by_user: list[dict[str, Any]] = field(default_factory=list)
    by_service: list[dict[str, Any]] = field(default_factory=list)
    deploys: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    other: int = 0
    files: int = 0
    bytes: int = 0
    median: timedelta | None = None
    slowest: timedelta | None = None
    recovery: timedelta | None = None
    sampled: int = 0
    """How many deploys the sample holds where that is not all of them; 0 where it is."""

    @property
    def rate(self) -> float | None:
        """Share of the decided deploys that went live at once, in percent; None where none is decided."""
        decided = self.succeeded + self.failed + self.skipped
        return round(100 * self.succeeded / decided, 1) if decided else None

    def table(self) -> list[dict[str, Any]]:
        """Return the days or weeks with their outcomes, newest first, those without a deploy left out."""
        rows = [
            {"day": day, **{outcome: self.by_day[outcome][number] for outcome in OUTCOMES}}
            for number, day in enumerate(self.days)
        ]
        return [row for row in reversed(rows) if any(row[outcome] for outcome in OUTCOMES)]


def collect(services: Seen, first: date, last: date, zone: tzinfo) -> Figures:
    """Return the figures of the ended deploys that arrived from ``first`` to ``last``, days of the project's time zone.

    Hours are those of ``zone``.
    """
    weekly = (last - first).days >= DAILY
    figures = Figures(points(first, last, weekly=weekly), weekly)
    count_days(figures, of(Tally.objects.filter(pieces(first, last, weekly=weekly)), services))
    figures.by_service = top_services(
        of(Tally.objects.filter(pieces(first, last, weekly=(last - first).days >= WEEKLY)), services)
    )
    since = timezone.make_aware(datetime.combine(first, time.min), timezone.get_default_timezone())
    look_closer(figures, sample(services, since), zone)
    return figures


def of(rows: QuerySet[Any], services: Seen) -> QuerySet[Any]:
    """Return the rows of the given services."""
    return rows if services is None else rows.filter(service__in=services)


def points(first: date, last: date, *, weekly: bool) -> list[date]:
    """Return each day, or the Monday of each week."""
    step = 7 if weekly else 1
    begin = week_of(first) if weekly else first
    return [begin + timedelta(days=step * number) for number in range((last - begin).days // step + 1)]


def pieces(first: date, last: date, *, weekly: bool) -> Q:
    """Choose the tallies that add up to the time: its days, or its whole weeks and the days before the first of them.

    The week of ``last`` counts as whole: nothing has arrived after today.
    """
    if not weekly:
        return Q(span=Tally.Span.DAY, begins__gte=first, begins__lte=last)
    monday = week_of(first + timedelta(days=6))
    return Q(span=Tally.Span.WEEK, begins__gte=monday, begins__lte=last) | Q(
        span=Tally.Span.DAY, begins__gte=first, begins__lt=monday
    )


def count_days(figures: Figures, tallies: QuerySet[Tally]) -> None:
    """Fill the deploys per day or week by outcome, and the totals."""
    places = {day: number for number, day in enumerate(figures.days)}
    figures.by_day = {outcome: [0] * len(figures.days) for outcome in OUTCOMES}
    slowest = 0.0
    found: Any = (
        tallies.order_by().values("begins").annotate(**{f"all_{name}": Sum(name) for name in SUMS}, top=Max("slowest"))
    )
    for row in found:
        place = places[week_of(row["begins"]) if figures.weekly else row["begins"]]
        for name in SUMS:
            setattr(figures, name, getattr(figures, name) + int(row[f"all_{name}"]))
        for outcome in OUTCOMES:
            figures.by_day[outcome][place] += row[f"all_{outcome}"]
        slowest = max(slowest, row["top"])
    figures.deploys = figures.succeeded + figures.failed + figures.skipped + figures.other
    figures.slowest = timedelta(seconds=slowest) if slowest else None


def top_services(tallies: QuerySet[Tally]) -> list[dict[str, Any]]:
    """Return the services with the most deploys."""
    rows = list(
        tallies.order_by()
        .values("service")
        .annotate(number=Sum(ALL), live=Sum("succeeded"), broken=Sum(F("failed") + F("skipped")))
        .order_by("-number", "service")[:TOP]
    )
    known = Service.objects.only("repository_name", "branch").in_bulk([row["service"] for row in rows])
    return [{**row, "name": known[row["service"]]} for row in rows if row["service"] in known]


def sample(services: Seen, since: datetime) -> list[Ended]:
    """Return the latest ended deploys that arrived since, oldest first."""
    rows = of(Deploy.objects.filter(created_at__gte=since), services).exclude(finished_at=None)
    names = ("service_id", "state", "created_at", "started_at", "finished_at", "user_name")
    return [Ended(*row) for row in rows.order_by("-created_at", "-pk").values_list(*names)[:SAMPLE]][::-1]


def look_closer(figures: Figures, deploys: list[Ended], zone: tzinfo) -> None:
    """Fill what the sample tells."""
    figures.sampled = len(deploys) if len(deploys) == SAMPLE < figures.deploys else 0
    figures.by_hour = [0] * 24
    for deploy in deploys:
        figures.by_hour[deploy.created_at.astimezone(zone).hour] += 1
    figures.by_user = top_users(deploys)
    spans = [
        (deploy.finished_at - deploy.started_at).total_seconds()
        for deploy in deploys
        if deploy.state == Deploy.State.SUCCEEDED and deploy.started_at and deploy.finished_at
    ]
    figures.median = timedelta(seconds=statistics.median(spans)) if spans else None
    figures.recovery = recovery_time(deploys)


def top_users(deploys: Iterable[Ended]) -> list[dict[str, Any]]:
    """Return the people with the most deploys."""
    numbers: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for deploy in deploys:
        numbers[deploy.user] += 1
        broken[deploy.user] += deploy.state in BROKEN
    del numbers[""]
    return [{"user_name": name, "number": number, "broken": broken[name]} for name, number in numbers.most_common(TOP)]


def recovery_time(deploys: Iterable[Ended]) -> timedelta | None:
    """Return the median time from a failure to the next deploy of the same service that went live."""
    waiting: dict[int, list[datetime]] = defaultdict(list)
    spans = []
    for deploy in deploys:
        if deploy.finished_at is None:
            continue
        if deploy.state in BROKEN:
            waiting[deploy.service].append(deploy.finished_at)
        elif deploy.state == Deploy.State.SUCCEEDED:
            spans += [(deploy.finished_at - at).total_seconds() for at in waiting.pop(deploy.service, [])]
    spans = [span for span in spans if span > 0]
    return timedelta(seconds=statistics.median(spans)) if spans else None
