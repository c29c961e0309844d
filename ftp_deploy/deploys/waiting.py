"""Waiting for others without being held up by them: a forge that is slow, a server that does not answer.

A run that has to stop does not wait for a time-out: it leaves such work to itself and goes.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

from ftp_deploy.transports.base import Guard

T = TypeVar("T")

INTERVAL = 0.2
"""Seconds between two calls of the guard."""


def nothing(result: Any) -> None:
    """Discard a result that needs no care."""


def wait_for(work: Callable[[], T], guard: Guard, discard: Callable[[T], object] = nothing) -> T:
    """Run ``work`` in a thread of its own; return what it returns, raise what it raises.

    ``guard`` is called now and then in the caller's thread. What it raises ends the wait; the result, should it still
    come, goes to ``discard``. ``work`` must not use the database, and must do no harm after its run has ended.
    """
    future: Future[T] = Future()
    threading.Thread(target=_fill, args=(future, work), name="waited-for", daemon=True).start()
    try:
        while not wait([future], INTERVAL).done:
            guard()
    except BaseException:
        future.add_done_callback(lambda late: _throw_away(late, discard))
        raise
    return future.result()


def _fill(future: "Future[T]", work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
        future.set_exception(error)
    else:
        future.set_result(result)


def _throw_away(late: "Future[T]", discard: Callable[[T], object]) -> None:
    if late.exception() is None:
        with suppress(Exception):
            discard(late.result())
