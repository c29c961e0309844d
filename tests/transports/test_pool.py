"""Connections that are opened ahead of the work."""

import threading
import time

import pytest

from ftp_deploy.exceptions import ConnectionFailed, TooManyConnections
from ftp_deploy.transports.crew import Crew
from ftp_deploy.transports.pool import Pool
from tests.transports.test_crew import Host, Line, done, simple

DEADLINE = 30.0


def settle(pool: Pool[Line]) -> None:
    """Wait until nothing is being opened ahead any more."""
    deadline = time.monotonic() + DEADLINE
    while pool.pending and time.monotonic() < deadline:
        time.sleep(0.005)
    assert pool.pending == 0


def test_one_is_left_for_the_caller() -> None:
    host = Host()
    pool = Pool(host.open, 8, None)
    pool.open_ahead(5)
    settle(pool)
    assert pool.standing == host.attempts == 4
    pool.take_idle()
    pool.open_ahead(5)
    settle(pool)
    assert pool.standing == 5 - 1 + 1


def test_never_more_than_the_limit() -> None:
    """Workers wait for what is being opened, so that both together stay below the limit."""
    host, gate = Host(), threading.Event()

    def slow() -> Line:
        gate.wait(DEADLINE)
        return host.open()

    pool = Pool(host.open, 8, None)
    pool.open_ahead(100, slow)
    crew = Crew(pool, simple, describe=str)
    steps = crew.run(range(200))
    first = next(steps)
    gate.set()
    assert done([first, *steps]) == list(range(200))
    settle(pool)
    assert host.attempts <= 8


def test_refusals_set_the_ceiling_and_fail_nothing() -> None:
    host = Host(room=3)
    pool = Pool(host.open, 8, None)
    crew = Crew(pool, simple, describe=str)
    list(crew.run([0]))
    pool.open_ahead(8)
    settle(pool)
    assert (pool.standing, pool.limit, pool.ceiling) == (3, 3, 3)
    assert done(list(Crew(pool, simple, describe=str).run(range(50)))) == list(range(50))


@pytest.mark.parametrize("error", [ConnectionFailed("no answer"), TooManyConnections("421 full")])
def test_nothing_that_is_opened_ahead_holds_up_the_work(error: Exception) -> None:
    def fail() -> Line:
        raise error

    host = Host()
    pool = Pool(host.open, 8, None)
    pool.open_ahead(8, fail)
    assert done(list(Crew(pool, simple, describe=str).run(range(50)))) == list(range(50))
    settle(pool)


def test_one_that_comes_after_the_end_is_cut() -> None:
    host, gate = Host(), threading.Event()

    def slow() -> Line:
        gate.wait(DEADLINE)
        return host.open()

    pool = Pool(slow, 8, None)
    pool.open_ahead(3)
    pool.close()
    gate.set()
    settle(pool)
    assert len(host.lines) == 2
    assert all(line.cut.is_set() for line in host.lines)
