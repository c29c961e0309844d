"""An asyncio event loop in a thread of its own, for a transport whose library is asynchronous."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

STOP_SECONDS = 10.0
"""How long to wait for cancelled tasks and for the thread to end."""


class BackgroundLoop:
    """Runs coroutines in its own thread; the owner waits for them in its thread."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()  # here, so that it is closed as well where nobody waited for this thread to the end

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start ``work`` in the loop and return at once. Cancelling the future cancels the task."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` and return what it returns. An interrupt of the waiting thread cancels it."""
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancel all tasks and end the thread, which closes the loop; harmless when called twice."""
        if self._loop.is_closed():
            return
        ended = self.start(self._cancel_all())
        try:
            ended.result(STOP_SECONDS)
        except TimeoutError:
            ended.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Closed connections tell their protocols in a later turn of the loop; without it their sockets stay open.
        for _ in range(3):
            await asyncio.sleep(0)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


async def together(works: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Run coroutines side by side. The first error cancels the others and is raised once they have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        unfinished = [task for task in tasks if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
    errors = [task.exception() for task in tasks if not task.cancelled()]
    for error in errors:
        if error is not None:
            raise error
