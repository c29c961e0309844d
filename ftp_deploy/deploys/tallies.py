"""Keeping the tallies: each outcome is counted in the transaction that records it, so the sums always equal the rows.

A deploy counts on the day on which it arrived, in the project's time zone. The caller holds the service's row, so no
two transactions make the same tally.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from ftp_deploy.models import Deploy, Tally

COLUMNS: Mapping[str, str] = {
    Deploy.State.SUCCEEDED: "succeeded",
    Deploy.State.FAILED: "failed",
    Deploy.State.RESTORED: "failed",
    Deploy.State.SKIPPED: "skipped",
    Deploy.State.CANCELLED: "other",
    Deploy.State.SUPERSEDED: "other",
}
"""In which column a final state counts."""
FIELDS = (
    "created_at",
    "state",
    "started_at",
    "finished_at",
    "files_added",
    "files_modified",
    "files_removed",
    "bytes_done",
)
SUMS = ("succeeded", "failed", "skipped", "other", "files", "bytes")
BATCH = 2000


@dataclass(slots=True)
class Sum:
    """What one day or week gets more."""

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    other: int = 0
    files: int = 0
    bytes: int = 0
    slowest: float = 0.0

    def add(self, row: tuple[Any, ...], state: str = "") -> None:
        """Count a deploy, given as ``FIELDS``; ``state`` where it has another one by now."""
        _at, stored, started_at, finished_at, *files, sent = row
        state = state or stored
        self.move(state, 1)
        self.files += sum(files)
        self.bytes += sent
        if state == Deploy.State.SUCCEEDED and started_at and finished_at:
            self.slowest = max(self.slowest, (finished_at - started_at).total_seconds())

    def move(self, state: str, by: int) -> None:
        """Count a state alone: +1 for the one that a deploy comes to, -1 for the one that it leaves."""
        column = COLUMNS[state]
        setattr(self, column, getattr(self, column) + by)

    def values(self) -> dict[str, Any]:
        """Return the columns that change."""
        return {name: getattr(self, name) for name in (*SUMS, "slowest") if getattr(self, name)}


def day_of(moment: datetime) -> date:
    """Return the day on which a deploy counts. Without ``USE_TZ`` times are those of the project's zone already."""
    if timezone.is_naive(moment):
        return moment.date()
    return timezone.localdate(moment, timezone.get_default_timezone())


def week_of(day: date) -> date:
    """Return the Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def count(service: int, deploys: QuerySet[Deploy], state: str, *, finished_at: datetime | None = None) -> None:
    """Count deploys of a service that come to a final state in this transaction; call it before their update."""
    days: dict[date, Sum] = defaultdict(Sum)
    for row in deploys.order_by().values_list(*FIELDS):
        days[day_of(row[0])].add((*row[:3], finished_at or row[3], *row[4:]), state)
    _store(service, days)


def move(service: int, deploys: QuerySet[Deploy], old: str, new: str) -> None:
    """Count deploys of a service that go from one final state to another; call it before their update."""
    if COLUMNS[old] == COLUMNS[new]:
        return
    days: dict[date, Sum] = defaultdict(Sum)
    for at in deploys.order_by().values_list("created_at", flat=True):
        days[day_of(at)].move(old, -1)
        days[day_of(at)].move(new, 1)
    _store(service, days)


def _store(service: int, days: Mapping[date, Sum]) -> None:
    for day, more in days.items():
        values = more.values()
        places = {(Tally.Span.DAY, day), (Tally.Span.WEEK, week_of(day))}
        wanted = Q(span=Tally.Span.DAY, begins=day) | Q(span=Tally.Span.WEEK, begins=week_of(day))
        tallies = Tally.objects.filter(wanted, service=service)
        changes = {name: _changed(name, values[name]) for name in SUMS if name in values}
        if "slowest" in values:
            changes["slowest"] = Greatest(F("slowest"), Value(values["slowest"]))
        if tallies.update(**changes) == len(places):
            continue
        known = set(tallies.values_list("span", "begins"))
        values = {name: max(value, 0) for name, value in values.items()}
        Tally.objects.bulk_create(
            Tally(service_id=service, span=span, begins=begins, **values) for span, begins in places - known
        )


def _changed(name: str, by: int) -> Any:
    """Return the expression for a column's new value. It stops at zero: no deploy fails because a sum is wrong."""
    if by >= 0:
        return F(name) + by
    return Case(When(**{f"{name}__gte": -by}, then=F(name) - -by), default=Value(0))


def recount(service: int, deploys: Any = Deploy, tallies: Any = Tally) -> None:
    """Make the tallies of a service anew from its rows. A migration gives its own models."""
    found: dict[tuple[int, date], Sum] = defaultdict(Sum)
    rows = deploys.objects.filter(service=service, state__in=list(COLUMNS)).order_by().values_list(*FIELDS)
    for row in rows.iterator(chunk_size=BATCH):
        day = day_of(row[0])
        for place in ((int(Tally.Span.DAY), day), (int(Tally.Span.WEEK), week_of(day))):
            found[place].add(row)
    tallies.objects.filter(service=service).delete()
    tallies.objects.bulk_create(made(service, found, tallies), batch_size=BATCH)


def made(service: int, found: Mapping[tuple[int, date], Sum], tallies: Any) -> Iterable[Any]:
    """Return the rows of some sums, oldest first."""
    for (span, begins), total in sorted(found.items()):
        yield tallies(service_id=service, span=span, begins=begins, **total.values())
