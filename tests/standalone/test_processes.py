"""Processes that we start: none outlives us, one that ends comes back, one that will not stop is made to."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftp_deploy.standalone import processes
from ftp_deploy.standalone.processes import PARENT_VARIABLE, Child, Stopped, Supervisor, stop_on_signals
from tests.standalone.processes import until

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put back what answers SIGTERM and SIGINT."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_child_that_was_not_started_can_be_stopped() -> None:
    child = Child("web", ["false"])
    child.ask_to_stop()
    child.stop()
    child.kill()
    assert (child.running, child.code) == (False, None)


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path, caplog) -> None:
    child = Child("deaf", [sys.executable, "-c", DEAF], output=tmp_path / "log")
    child.start()
    try:
        assert until(lambda: "deaf" in (tmp_path / "log").read_text())
        child.stop(0.1)
    finally:
        child.kill()
    assert child.code == -signal.SIGKILL
    assert "deaf did not stop within 0 s" in caplog.text


def test_a_child_whose_parent_is_gone_already_ends(tmp_path: Path) -> None:
    """Between its start and its asking the kernel the parent may have died: then nobody would tell it."""
    pretended = Child("orphan", [sys.executable, "-c", ORPHAN], {}, tmp_path / "log")
    pretended.start()
    assert pretended.process is not None
    assert pretended.process.wait(60) == 1
    pretended.kill()
    assert "went on" not in (tmp_path / "log").read_text()


ORPHAN = f"""
import os
from ftp_deploy.standalone.processes import die_with_parent
os.environ["{PARENT_VARIABLE}"] = "1"
die_with_parent()
print("went on")
"""


@pytest.mark.parametrize(("variable", "platform"), [("", "linux"), ("1", "darwin")])
def test_who_was_started_by_nobody_of_us_goes_on(monkeypatch, variable: str, platform: str) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, variable)
    monkeypatch.setattr(processes.sys, "platform", platform)
    processes.die_with_parent()
    assert PARENT_VARIABLE not in os.environ


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_and_further_ones_do_not_interrupt_that(number: signal.Signals) -> None:
    stop_on_signals()
    with pytest.raises(Stopped, match=number.name):
        signal.raise_signal(number)
    for further in (signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(further)


class Clock:
    """Stands in for ``time`` in the supervisor: sleeping is free, and at the end somebody asks it to stop."""

    def __init__(self, until: float) -> None:
        self.now = 0.0
        self.until = until

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.until:
            raise Stopped("SIGTERM")


class Mortal:
    """A child that lives for given numbers of seconds, one after the other, then for ever."""

    code = 1

    def __init__(self, clock: Clock, *lives: float) -> None:
        self.name = "web"
        self.clock = clock
        self.lives = list(lives)
        self.process: object = None
        self.ends = 0.0
        self.starts: list[int] = []
        self.told: list[str] = []

    @property
    def running(self) -> bool:
        return self.process is not None and self.clock.now < self.ends

    def start(self) -> None:
        self.process = object()
        self.starts.append(round(self.clock.now))
        self.ends = self.clock.now + (self.lives.pop(0) if self.lives else 1e9)

    def kill(self) -> None:
        self.told.append("kill")

    def ask_to_stop(self) -> None:
        self.told.append("ask")

    def stop(self) -> None:
        self.told.append("stop")


def supervise(monkeypatch: pytest.MonkeyPatch, seconds: float, *lives: float) -> Mortal:
    clock = Clock(seconds)
    monkeypatch.setattr(processes, "time", clock)
    child = Mortal(clock, *lives)
    Supervisor([child]).run()  # type: ignore[list-item]
    return child


def test_what_ends_at_once_is_started_later_each_time(monkeypatch, caplog) -> None:
    child = supervise(monkeypatch, 300, *[0.1] * 9)
    gaps = [after - before for before, after in zip(child.starts, child.starts[1:], strict=False)]
    assert gaps[:5] == pytest.approx([2, 4, 8, 16, 32], abs=1)
    assert gaps[5:] == pytest.approx([60] * len(gaps[5:]), abs=1)
    assert "web ended (1); starting it again in 60 s" in caplog.text
    assert child.told[-2:] == ["ask", "stop"]


def test_what_ran_well_for_long_is_started_soon(monkeypatch) -> None:
    child = supervise(monkeypatch, 300, 0.1, 0.1, 0.1, 100)
    assert child.starts[4] - child.starts[3] == pytest.approx(101, abs=1)


def test_what_goes_wrong_in_the_supervisor_leaves_no_child(monkeypatch) -> None:
    clock = Clock(10)
    monkeypatch.setattr(processes, "time", clock)
    child = Mortal(clock)
    monkeypatch.setattr(child, "start", lambda: (_ for _ in ()).throw(OSError("no more processes")))
    with pytest.raises(OSError, match="no more processes"):
        Supervisor([child]).run()  # type: ignore[list-item]
    assert child.told == ["kill", "ask", "stop"]


def test_a_real_child_is_started_again_and_stopped_at_the_end(monkeypatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child("once", [sys.executable, "-c", "print('here', flush=True)"], output=log)
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(0.02)
        if log.read_text().count("here") >= 2:
            raise Stopped("SIGTERM")
        assert len(pauses) < 3000

    monkeypatch.setattr(processes, "time", type("Time", (), {"monotonic": time.monotonic, "sleep": sleep}))
    Supervisor([child], first_pause=0.01, longest_pause=0.01).run()
    assert not child.running
