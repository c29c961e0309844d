"""What a run waits for: the database, the forge, the broker and the FTP server, in round trips and seconds."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.servers.proxy import Proxy


class Line:
    """Notes when bytes are under way on a line with latency."""

    def __init__(self, proxy: Proxy) -> None:
        self._delay = proxy.delay
        self._spans: list[tuple[float, float]] = []
        proxy.watch = self._note

    def _note(self, _direction: str, _data: bytes) -> None:
        now = time.perf_counter()
        self._spans.append((now - self._delay, now))

    def is_idle(self) -> bool:
        """Say whether nothing was under way for a second."""
        return not self._spans or time.perf_counter() - self._spans[-1][1] > 1

    def busy(self, began: float, ended: float) -> float:
        """Return for how many seconds of a time anything was under way, in either direction."""
        total, reached = 0.0, began
        for start, end in sorted(self._spans):
            start, end = max(start, reached), min(end, ended)
            if end > start:
                total, reached = total + end - start, end
        return total


@contextmanager
def timed(owner: Any, method: str, name: str, counts: Counter[str], seconds: dict[str, float]) -> Iterator[None]:
    """Count the calls of a method and the time they take, under a name."""
    original = getattr(owner, method)

    def measured(*args: Any, **options: Any) -> Any:
        with watch(name, counts, seconds):
            return original(*args, **options)

    setattr(owner, method, measured)
    try:
        yield
    finally:
        setattr(owner, method, original)


@contextmanager
def watch(name: str, counts: Counter[str], seconds: dict[str, float]) -> Iterator[None]:
    """Count a block and the time it takes."""
    began = time.perf_counter()
    try:
        yield
    finally:
        counts[name] += 1
        seconds[name] += time.perf_counter() - began


def run_and_count(service_id: int) -> dict[str, Any]:
    """Deploy what waits for a service in this process; return what it asked whom, and when it began and ended.

    The forge's time is that of fetching, with unpacking what it sent; its count is that of HTTP requests.
    """
    from django.db import connection
    from urllib3.connectionpool import HTTPConnectionPool

    from ftp_deploy.deploys import runner
    from ftp_deploy.deploys.wakeup import publisher
    from ftp_deploy.repository.snapshot import Snapshot

    counts: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)

    def asked(execute: Callable[..., Any], *args: Any) -> Any:
        with watch("database", counts, seconds):
            return execute(*args)

    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(asked))
        stack.enter_context(timed(HTTPConnectionPool, "urlopen", "forge", counts, defaultdict(float)))
        stack.enter_context(timed(runner, "fetch_service", "forge", Counter(), seconds))
        stack.enter_context(timed(Snapshot, "fetch_blobs", "forge", Counter(), seconds))
        stack.enter_context(timed(publisher, "send", "broker", counts, seconds))
        began, processor = time.perf_counter(), time.process_time()
        assert runner.run_service(service_id) == 1
        ended, processor = time.perf_counter(), time.process_time() - processor
    return {"counts": counts, "seconds": seconds, "began": began, "ended": ended, "processor": processor}
