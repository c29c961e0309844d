"""When the periodic tasks are due."""

import pickle
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ftp_deploy import tasks
from ftp_deploy.celery import app
from ftp_deploy.models import Heartbeat
from ftp_deploy.tasks import SKEW, Every
from tests.factories import make_deploy, make_service


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    every = Every(15.0, app=app)
    now = every.now()
    assert every.is_due(now - timedelta(seconds=20))[0]
    assert not every.is_due(now - timedelta(seconds=1))[0]
    assert every.is_due(now + timedelta(hours=2)) == (True, 15.0)


def test_it_can_be_kept_in_beats_file() -> None:
    assert pickle.loads(pickle.dumps(Every(15.0))) == Every(15.0)  # noqa: S301


def as_beat_asked(task: Any) -> None:
    task.push_request(expires=(timezone.now() + timedelta(seconds=SKEW)).isoformat())
    try:
        task.run()
    finally:
        task.pop_request()


@pytest.mark.django_db
class TestAfterAnHourWithoutWorkers:
    """Beat goes on, and its messages wait: the first of them does the work of all."""

    def test_sweeps_that_come_together_are_one(self, published: list[Any]) -> None:
        service = make_service()
        make_deploy(service, state="queued")
        published.clear()
        for _ in range(20):
            as_beat_asked(tasks.sweep)
        assert published == [("ftp_deploy.run", (service.pk,))]
        Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=14))
        as_beat_asked(tasks.sweep)
        Heartbeat.objects.update(at=timezone.now() + timedelta(hours=2))
        as_beat_asked(tasks.sweep)
        tasks.sweep()
        assert published == [("ftp_deploy.run", (service.pk,))] * 4

    def test_a_service_is_checked_once(self, published: list[Any]) -> None:
        service = make_service()
        published.clear()
        for _ in range(20):
            as_beat_asked(tasks.validate_due)
        assert published == [("ftp_deploy.validate", (service.pk,))]
