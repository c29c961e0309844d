"""The tallies equal the rows they stand for, whatever happens to deploys, and after the migration that fills them."""

from datetime import date, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from ftp_deploy.deploys import queue, restore, retention, tallies
from ftp_deploy.models import Change, Deploy, Service, Tally
from tests.factories import make_deploy, make_service

pytestmark = pytest.mark.django_db

State = Deploy.State
NOON = datetime(2026, 3, 4, 12, tzinfo=timezone.get_default_timezone())
"""A Wednesday."""


def stored() -> set[tuple[Any, ...]]:
    rows = Tally.objects.values_list("service", "span", "begins", *tallies.SUMS, "slowest")
    return {(*row[:-1], round(row[-1], 3)) for row in rows}


def assert_sums_equal_rows() -> None:
    """Compare what is stored with what the rows give."""
    kept = stored()
    for service in Service.objects.all():
        tallies.recount(service.pk)
    assert kept == stored()


def make(service: Service, state: str, at: datetime = NOON, seconds: float = 4, **values: Any) -> Deploy:
    times = {} if state in queue_states() else {"finished_at": at + timedelta(seconds=seconds)}
    deploy = make_deploy(service, state=state, started_at=at, **{**times, **values})
    Deploy.objects.filter(pk=deploy.pk).update(created_at=at)
    return deploy


def queue_states() -> tuple[str, str]:
    return State.QUEUED, State.RUNNING


def test_a_project_without_time_zones_counts_by_its_own_days() -> None:
    assert tallies.day_of(datetime(2026, 3, 4, 23, 59)) == date(2026, 3, 4)
    assert tallies.day_of(NOON) == date(2026, 3, 4)


def test_a_recount_counts_each_final_state_once(service) -> None:
    for state in State:
        make(service, state, files_added=2, files_removed=1, bytes_done=100)
    make(service, State.SUCCEEDED, NOON + timedelta(days=1), seconds=9)
    tallies.recount(service.pk)
    day = Tally.objects.get(span=Tally.Span.DAY, begins=date(2026, 3, 4))
    assert (day.succeeded, day.failed, day.skipped, day.other) == (1, 2, 1, 2)
    assert (day.files, day.bytes, day.slowest) == (18, 600, 4)
    week = Tally.objects.get(span=Tally.Span.WEEK)
    assert (week.begins, week.succeeded, week.slowest) == (date(2026, 3, 2), 2, 9)
    assert Tally.objects.count() == 3


def test_a_skip_and_a_cancel_are_counted_with_the_row(service) -> None:
    failed = make(service, State.FAILED, NOON)
    other = make(service, State.FAILED, NOON + timedelta(days=7))
    tallies.recount(service.pk)
    waiting = make(service, State.QUEUED, timezone.now())
    restore.skip(failed)
    queue.cancel(waiting)
    assert Tally.objects.get(span=Tally.Span.DAY, begins=date(2026, 3, 4)).skipped == 1
    assert_sums_equal_rows()
    assert Tally.objects.filter(failed=1).count() == 2, other


def test_what_is_undone_is_not_counted(service) -> None:
    running = Deploy.objects.filter(pk=make(service, State.RUNNING).pk)
    with transaction.atomic():
        tallies.count(service.pk, running, State.FAILED)
        transaction.set_rollback(True)
    assert not Tally.objects.exists()


def test_pruning_leaves_the_sums(service) -> None:
    deploy = make(service, State.SUCCEEDED, files_added=1)
    Change.objects.create(deploy=deploy, path="index.html", action="add", state="applied")
    tallies.recount(service.pk)
    before = stored()
    assert retention.prune(1)["changes"] == 1
    assert stored() == before


def test_a_day_is_one_of_the_projects_zone(service, settings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    make(service, State.SUCCEEDED, datetime.fromisoformat("2026-03-04T20:00:00+00:00"))
    tallies.recount(service.pk)
    assert Tally.objects.get(span=Tally.Span.DAY).begins == date(2026, 3, 5)


def test_the_migration_counts_what_is_there(service) -> None:
    other = make_service(repository_name="other")
    for number in range(5):
        make(service, State.SUCCEEDED, NOON - timedelta(days=number))
        make(other, State.RESTORED, NOON - timedelta(days=number))
    module = import_module("ftp_deploy.migrations.0004_fill_tallies")
    module.fill(apps, SimpleNamespace(connection=connection))
    assert Tally.objects.filter(span=Tally.Span.DAY).count() == 10
    assert_sums_equal_rows()


def test_many_deploys_of_a_run_cost_few_queries(service, django_assert_max_num_queries) -> None:
    for number in range(40):
        make(service, State.QUEUED, NOON + timedelta(seconds=number))
    with django_assert_max_num_queries(5):
        tallies.count(service.pk, service.deploys.all(), State.SUCCEEDED)
    with django_assert_max_num_queries(2):
        tallies.count(service.pk, service.deploys.all(), State.FAILED)
    assert list(Tally.objects.values_list("succeeded", "failed")) == [(40, 40), (40, 40)]


def test_a_sum_that_is_missing_stops_nobody(service) -> None:
    failed = make(service, State.FAILED)
    restore.skip(failed)
    failed.refresh_from_db()
    assert failed.state == State.SKIPPED
    assert list(Tally.objects.values_list("failed", "skipped")) == [(0, 1), (0, 1)]
