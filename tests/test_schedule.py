"""When the periodic tasks are due."""

import pickle
from datetime import timedelta

from ftp_deploy.celery import app
from ftp_deploy.tasks import Every


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    every = Every(15.0, app=app)
    now = every.now()
    assert every.is_due(now - timedelta(seconds=20))[0]
    assert not every.is_due(now - timedelta(seconds=1))[0]
    assert every.is_due(now + timedelta(hours=2)) == (True, 15.0)


def test_it_can_be_kept_in_beats_file() -> None:
    assert pickle.loads(pickle.dumps(Every(15.0))) == Every(15.0)  # noqa: S301
