"""An event loop in a thread of its own: what it is asked ends, and it ends with all that it runs."""

import asyncio
import threading

import pytest

from ftp_deploy.transports import loop
from ftp_deploy.transports.loop import BackgroundLoop


async def hang(cancelled: threading.Event) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        cancelled.set()


def test_what_still_runs_is_cancelled_at_the_end() -> None:
    background = BackgroundLoop("test")
    cancelled = threading.Event()
    running = background.start(hang(cancelled))
    background.stop()
    assert cancelled.is_set()
    assert running.cancelled()
    assert "test" not in {thread.name for thread in threading.enumerate()}
    background.stop()


async def fail() -> None:
    raise ValueError("told to the caller")


def test_an_error_comes_back_to_the_caller_and_the_loop_goes_on() -> None:
    background = BackgroundLoop("test")
    try:
        with pytest.raises(ValueError, match="told to the caller"):
            background.run(fail())
        assert background.run(asyncio.sleep(0, "next")) == "next"
    finally:
        background.stop()


def test_a_task_that_does_not_end_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STOP_SECONDS", 0.05)
    background = BackgroundLoop("test")
    may_end = threading.Event()

    async def stubborn() -> None:
        await asyncio.to_thread(may_end.wait, 60)

    async def shielded() -> None:
        task = asyncio.ensure_future(stubborn())
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                continue

    background.start(shielded())
    background.run(asyncio.sleep(0.05))
    background.stop()
    assert not may_end.is_set(), "stop() waited for it"
    may_end.set()
    background._thread.join(30)
    assert not background._thread.is_alive()
    assert background._loop.is_closed(), "whoever comes late closes the loop"
