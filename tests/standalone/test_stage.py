"""What the demo stands on: each thing that does not come up is named, with the last words of who should have."""

import sys
from pathlib import Path

import pytest

from ftp_deploy.standalone.demo import stage
from ftp_deploy.standalone.demo.stage import DemoFailed, Stage, wait_until
from ftp_deploy.standalone.processes import Child
from tests.standalone.processes import until


@pytest.fixture
def made(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "demo")


def test_what_does_not_happen_in_time_is_named() -> None:
    with pytest.raises(DemoFailed, match="the forge answers: not within 0 s"):
        wait_until(lambda: False, 0.2, "the forge answers")
    left = [False, False, True]
    wait_until(lambda: left.pop(0), 60, "the third look")
    assert left == []


def test_a_process_that_ends_is_told_with_its_last_words(made: Stage) -> None:
    with made:
        made._start("web", [sys.executable, "-c", "print('no such port'); raise SystemExit(3)"])
        assert until(lambda: not made.children[0].running)
        with pytest.raises(DemoFailed, match=r"web ended \(3\):\nno such port"):
            made.check_processes()
    assert made.children == []


def test_nobody_at_the_port_is_nobody_who_is_ready(made: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "START_SECONDS", 0.2)
    assert not made._forge_answers()
    assert not made._ready()
    with pytest.raises(DemoFailed, match="ftp answers: not within 0 s"):
        made._wait_for_port("ftp")


def test_the_password_is_for_the_owner_of_its_file_alone(made: Stage) -> None:
    made.change_ftp_password("another")
    assert made.password_file.read_text() == "another"
    assert made.password_file.stat().st_mode & 0o077 == 0
    assert "another" not in repr(made)


def test_stopping_stops_all_and_may_be_done_again(made: Stage) -> None:
    made._start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
    (child,) = list(made.children)
    assert isinstance(child, Child)
    assert child.running
    made.stop()
    made.stop()
    assert not child.running
