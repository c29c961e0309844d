"""``FAILPOINT=write:7`` kills the process right before its 7th write to the tables of deploys, ``commit:3`` right after
its third commit, ``rename:2`` right before the second rename on a server."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

WRITES = ("INSERT", "UPDATE", "DELETE")


class Countdown:
    """Kills this process when it was called often enough, whichever thread calls."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def sleep_on_the_true_clock() -> None:
    """Let a process with a false clock sleep: the sleep of libfaketime refuses what Python's asks of the system."""

    def sleep(seconds: float) -> None:
        threading.Event().wait(seconds)

    time.sleep = sleep


class FailpointsConfig(AppConfig):
    """Sets up the failpoint that the environment names; without one it does nothing."""

    name = "tests.projects.failpoints"

    def ready(self) -> None:
        if "FAKETIME_DONT_FAKE_MONOTONIC" in os.environ:
            sleep_on_the_true_clock()
        kind, _, count = os.environ.get("FAILPOINT", "").partition(":")
        if not kind:
            return
        countdown = Countdown(int(count))
        {"write": before_writes, "commit": after_commits, "rename": before_renames}[kind](countdown)


def before_writes(countdown: Countdown) -> None:
    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if sql.startswith(WRITES) and "ftp_deploy" in sql:
            countdown()
        return run(sql, params, many, context)

    install_wrapper(execute)


def install_wrapper(execute: Callable[..., Any]) -> None:
    """Let every statement of every connection go through ``execute``."""

    def install(connection: Any, **_kwargs: Any) -> None:
        if execute not in connection.execute_wrappers:
            connection.execute_wrappers.append(execute)

    connection_created.connect(install, weak=False)


def after_commits(countdown: Countdown) -> None:
    from django.db.backends.base.base import BaseDatabaseWrapper

    commit = BaseDatabaseWrapper._commit

    def counted(self: BaseDatabaseWrapper) -> Any:
        result = commit(self)
        countdown()
        return result

    BaseDatabaseWrapper._commit = counted  # type: ignore[method-assign]

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = run(sql, params, many, context)
        if sql.startswith(WRITES) and "ftp_deploy" in sql and not context["connection"].in_atomic_block:
            countdown()  # a statement that was a transaction by itself
        return result

    install_wrapper(execute)


def before_renames(countdown: Countdown) -> None:
    from ftp_deploy.deploys.lease import Lease

    hold = Lease.must_hold

    def counted(self: Lease) -> None:
        hold(self)
        countdown()

    Lease.must_hold = counted  # type: ignore[method-assign]
