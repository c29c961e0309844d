"""Workers that share a list: growth, ceilings, retries, the guard, and the end."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from ftp_deploy.exceptions import (
    ConnectionFailed,
    LoginRefused,
    PermissionRefused,
    TooManyConnections,
    TransferFailed,
    TransportError,
)
from ftp_deploy.transports import crew
from ftp_deploy.transports.base import Progress
from ftp_deploy.transports.crew import Crew, Lane
from ftp_deploy.transports.pool import Pool


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "FIRST_PAUSE", 0.002)


class Line:
    """A connection to nowhere."""

    def __init__(self) -> None:
        self.cut = threading.Event()

    def abort(self) -> None:
        self.cut.set()

    discard = close = abort

    def is_stale(self) -> bool:
        return self.cut.is_set()


class Host:
    """Lets in ``room`` connections at most and fails as told."""

    def __init__(self, room: int = 100, errors: tuple[TransportError, ...] = ()) -> None:
        self.room = room
        self.errors = list(errors)
        self.lines: list[Line] = []
        self.attempts = 0

    def open(self) -> Line:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        if sum(not line.cut.is_set() for line in self.lines) >= self.room:
            raise TooManyConnections("421 full")
        self.lines.append(Line())
        return self.lines[-1]


def make(host: Host, work: Callable[[Line, Lane[int]], None], maximum: int = 8) -> tuple[Crew[int, Line], Pool[Line]]:
    pool = Pool(host.open, maximum, None)
    return Crew(pool, work, describe=str), pool


def simple(line: Line, lane: Lane[int]) -> None:
    while (job := lane.take()) is not None:
        time.sleep(0.002)
        lane.done(Progress(done=(str(job),)))


def done(progress: list[Progress]) -> list[int]:
    return sorted(int(path) for step in progress for path in step.done)


def test_all_jobs_are_done_once() -> None:
    team, pool = make(Host(), simple)
    assert done(list(team.run(range(100)))) == list(range(100))
    assert 1 < pool.standing <= 8
    assert not pool.in_use


def test_no_more_connections_than_jobs() -> None:
    host = Host()
    team, _ = make(host, simple)
    list(team.run([1, 2]))
    assert host.attempts <= 2


def test_a_host_with_little_room() -> None:
    host = Host(room=3)
    team, pool = make(host, simple, maximum=16)
    assert done(list(team.run(range(200)))) == list(range(200))
    assert pool.ceiling is not None
    assert pool.ceiling <= 3
    assert pool.limit <= 8


def test_growth_is_gentle() -> None:
    """Never more than three attempts at a time for each connection that stands."""
    host, lock, most = Host(), threading.Lock(), [0]
    trying = [0]
    pool: Pool[Line]

    def slow_open() -> Line:
        with lock:
            trying[0] += 1
            most.append(trying[0] - crew.GROWTH * max(1, pool.standing))
        time.sleep(0.01)
        with lock:
            trying[0] -= 1
        return host.open()

    pool = Pool(slow_open, 32, None)
    list(Crew(pool, simple, describe=str).run(range(300)))
    assert max(most) <= 0


def test_a_broken_line_costs_nothing() -> None:
    broken = [True, True]

    def work(line: Line, lane: Lane[int]) -> None:
        while (job := lane.take()) is not None:
            if job in (5, 6) and broken:
                broken.pop()
                raise TransferFailed("426 cut")
            lane.done(Progress(done=(str(job),)))

    team, _ = make(Host(), work)
    steps = list(team.run(range(30)))
    assert done(steps) == list(range(30))
    assert "426 cut" in "".join(step.message for step in steps)


def test_an_error_that_stays_is_raised_after_some_tries() -> None:
    tries = []

    def work(line: Line, lane: Lane[int]) -> None:
        tries.append(lane.take())
        raise TransferFailed("450 busy")

    team, _ = make(Host(), work)
    with pytest.raises(TransferFailed, match="450"):
        list(team.run([7]))
    assert tries == [7] * crew.TRIES


@pytest.mark.parametrize("error", [PermissionRefused("550"), ValueError("bug")])
def test_a_final_error_is_raised_at_once(error: Exception) -> None:
    def work(line: Line, lane: Lane[int]) -> None:
        lane.take()
        raise error

    host = Host()
    team, pool = make(host, work)
    with pytest.raises(type(error)):
        list(team.run(range(100)))
    assert not pool.in_use


def test_a_host_that_is_down_is_given_up() -> None:
    host = Host(errors=tuple(ConnectionFailed("refused") for _ in range(100)))
    team, _ = make(host, simple)
    with pytest.raises(ConnectionFailed):
        list(team.run(range(10)))
    assert host.attempts == crew.CONNECT_TRIES


def test_a_host_that_comes_back_is_used() -> None:
    host = Host(errors=tuple(ConnectionFailed("refused") for _ in range(3)))
    team, _ = make(host, simple)
    assert done(list(team.run(range(10)))) == list(range(10))


def test_a_wrong_password_is_tried_twice() -> None:
    host = Host(errors=tuple(LoginRefused("530") for _ in range(10)))
    team, _ = make(host, simple)
    with pytest.raises(LoginRefused):
        list(team.run(range(10)))
    assert host.attempts == crew.LOGIN_TRIES


def test_closing_ends_all_workers() -> None:
    def work(line: Line, lane: Lane[int]) -> None:
        lane.take()
        if line.cut.wait(20):
            raise ConnectionFailed("cut")

    team, pool = make(Host(), work)
    before = threading.active_count()
    steps = team.run(range(100))
    next(steps)
    started = time.monotonic()
    steps.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 10
    assert threading.active_count() <= before
    assert not pool.in_use


def test_the_guard_comes_before_each_job_and_stops() -> None:
    calls = []

    def guard() -> None:
        calls.append(threading.get_ident())
        if len(calls) == 10:
            raise PermissionRefused("stop")

    ran = []

    def work(line: Line, lane: Lane[int]) -> None:
        while (job := lane.take()) is not None:
            ran.append(job)
            lane.done()

    team, _ = make(Host(), work)
    with pytest.raises(PermissionRefused, match="stop"):
        list(team.run(range(100), guard))
    assert len(ran) < 10
    assert set(calls) == {threading.get_ident()}


def test_yields_come_often() -> None:
    def work(line: Line, lane: Lane[int]) -> None:
        lane.take()
        time.sleep(1.0)
        lane.done()

    team, _ = make(Host(), work)
    moments = [time.monotonic(), *(time.monotonic() for _ in team.run([1]))]
    assert max(after - before for before, after in itertools.pairwise(moments)) < 0.5
