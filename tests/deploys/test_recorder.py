"""A row is written only as long as it is this run's, and a database that is away costs no progress."""

from types import SimpleNamespace

import pytest
from django.db import OperationalError

from ftp_deploy.deploys import recorder as module
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.exceptions import DeployCancelled, LeaseLost
from ftp_deploy.models import Deploy
from tests.factories import make_deploy

pytestmark = pytest.mark.django_db


@pytest.fixture
def recorder() -> Recorder:
    deploy = make_deploy(state=Deploy.State.RUNNING, epoch=3)
    return Recorder(deploy, SimpleNamespace(epoch=3))  # type: ignore[arg-type]


def test_somebody_who_cancels_right_before_the_switch_is_heard(recorder: Recorder) -> None:
    Deploy.objects.update(cancel_requested=True)
    with pytest.raises(DeployCancelled):
        recorder.enter_switch()
    assert Deploy.objects.get().phase != Deploy.Phase.SWITCHING


@pytest.mark.parametrize("values", [{"epoch": 4}, {"state": Deploy.State.QUEUED}])
def test_a_row_that_another_run_took_is_left_alone(recorder: Recorder, values: dict[str, object]) -> None:
    Deploy.objects.update(**values)
    before = Deploy.objects.values().get()
    for attempt in (recorder.enter_switch, lambda: recorder.write(error="mine"), recorder.finish):
        with pytest.raises(LeaseLost):
            attempt()
    assert Deploy.objects.values().get() == before


def test_a_warning_that_comes_twice_is_told_once(recorder: Recorder) -> None:
    for _ in range(2):
        recorder.warn("The server refuses modes.")
    recorder.finish()
    assert Deploy.objects.get().warnings == ["The server refuses modes."]


def test_progress_that_could_not_be_written_is_written_later(recorder: Recorder, monkeypatch, caplog) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    recorder.advance(2, 100, "page.html")
    flush = recorder.flush

    def away(**_values: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(recorder, "flush", away)
    assert not recorder.flush_if_due()
    assert "progress not written" in caplog.text
    monkeypatch.setattr(recorder, "flush", flush)
    assert recorder.flush_if_due()
    kept = Deploy.objects.get()
    assert (kept.files_done, kept.bytes_done, kept.current_file) == (2, 100, "page.html")


def test_a_write_that_breaks_off_is_written_whole_the_next_time(recorder: Recorder, monkeypatch) -> None:
    """The columns go with the lines in one transaction: what is rolled back is not forgotten."""
    recorder.advance(2, 100, "page.html")
    recorder.warn("The server refuses modes.")
    unbroken = module.LogLine.objects.bulk_create

    def away(*_args: object, **_options: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(module.LogLine.objects, "bulk_create", away)
    with pytest.raises(OperationalError):
        recorder.finish()
    monkeypatch.setattr(module.LogLine.objects, "bulk_create", unbroken)
    recorder.finish()
    kept = Deploy.objects.get()
    assert (kept.files_done, kept.bytes_done, kept.warnings) == (2, 100, ["The server refuses modes."])
    assert [line.text for line in kept.log_lines.all()] == ["The server refuses modes."]
