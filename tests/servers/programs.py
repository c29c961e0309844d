"""Throwaway servers that are programs of this machine: own folder, free loopback ports, stopped by who started them."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

DEADLINE = 90.0
"""Seconds that a server may take to start or stop on a slow machine."""


def wait_until(true: Callable[[], Any], what: str, seconds: float = DEADLINE, pause: float = 0.05) -> Any:
    """Return the first true value of a function. Raises ``TimeoutError`` naming what did not happen."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s: {what}")
        time.sleep(pause)
    return value


def listens(port: int) -> bool:
    """Say whether somebody accepts connections on a loopback port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def group_members(group: int) -> list[int]:
    """Return the ids of the processes of a group, those left out that are dead and only not yet reaped."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, its_group = entry.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(entry.parent.name))
    return found


def kill_group(group: int) -> None:
    """Kill every process of a group that we made, and wait until they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    wait_until(lambda: not group_members(group), f"process group {group} is gone")


def as_user(name: str) -> dict[str, Any]:
    """Return ``Popen`` arguments that drop root for a server that refuses to run as root."""
    return {"user": name, "group": name, "extra_groups": []} if os.geteuid() == 0 else {}


class Program(ABC):
    """One server process with a process group of its own. As a context manager it runs inside the block."""

    user = ""
    """Whom to run as, where we are root and the server refuses that."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        self.base.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self.output = self.base / "output.log"

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line; called for each start."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether the server takes requests."""

    def environment(self) -> Mapping[str, str]:
        """Return what the server finds in its environment besides our own."""
        return {}

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.base,
                env={**os.environ, **self.environment()},
                start_new_session=True,
                **(as_user(self.user) if self.user else {}),
            )
        wait_until(lambda: self.answers() or self._ended(), f"{type(self).__name__} answers")
        if self._ended():
            raise RuntimeError(f"{type(self).__name__} did not start: {self.log_text()[-3000:]}")

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the process, wait for its end, and end what it left in its group."""
        if self.process is None:
            return
        self.process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(DEADLINE)
        kill_group(self.process.pid)
        self.process.wait(DEADLINE)
        self.process = None

    def kill(self) -> None:
        """End the server at once."""
        self.end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server and remove its folder."""
        self.end()
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log_text(self) -> str:
        """Return what the server wrote since its last start."""
        return self.output.read_text(errors="replace")
