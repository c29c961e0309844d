"""SQLite has one writer at a time: how the threads of a process wait for each other."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

_writing = threading.Lock()


def start_anew() -> None:
    """Give a forked process a lock of its own: the thread that held it stays with the parent."""
    global _writing
    _writing = threading.Lock()


os.register_at_fork(after_in_child=start_anew)


@contextmanager
def one_writer(alias: str) -> Iterator[None]:
    """On SQLite, let the threads of this process write one after the other; elsewhere do nothing.

    SQLite itself lets who comes second ask again and again, up to a tenth of a second later each time
    (``sqlite3_busy_timeout``): under load somebody waits for seconds. Inside a transaction nothing is done either: it
    may hold the database's own lock already, and whoever has ours may wait for that.
    """
    connection = connections[alias]
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with _writing:
        yield
