"""Starting, watching and stopping processes, so that none outlives the one that started it."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

PARENT_VARIABLE = "FTP_DEPLOY_PARENT"
STOP_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it ends, however it ends.

    Linux only, ``prctl(2)``; elsewhere nothing happens. Does nothing unless a ``Child`` started us.
    """
    parent = os.environ.pop(PARENT_VARIABLE, "")
    if not parent or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it was already gone
        sys.exit(1)


def ftp_deploy_command(*arguments: str) -> list[str]:
    """Return the command line of ``ftp-deploy`` with this very Python."""
    return [sys.executable, "-m", "ftp_deploy.standalone", *arguments]


@dataclass
class Child:
    """One process of ours: its name for people, its command line, and where its output goes.

    It gets a process group of its own: Ctrl-C reaches us alone, and we stop it in order.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    output: Path | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _file: IO[bytes] | None = field(default=None, init=False, repr=False)
    _asked: bool = field(default=False, init=False, repr=False)

    def start(self) -> None:
        """Start the process."""
        if self.output is not None:
            self._file = self.output.open("ab")
        self._asked = False
        self.process = subprocess.Popen(  # noqa: S603 - our own command lines
            list(self.command),
            env={**os.environ, **self.environment, PARENT_VARIABLE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT if self._file else None,
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    @property
    def code(self) -> int | None:
        """The exit status, None while it runs or before it was started."""
        return self.process.poll() if self.process else None

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process itself, once: it stops its own children."""
        if self.running and self.process is not None and not self._asked:
            self._asked = True
            self.process.terminate()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop the process and everything in its group: politely, then after ``seconds`` by force."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %d s", self.name, seconds)
        self.kill()

    def kill(self) -> None:
        """End the whole process group at once; harmless when it is gone."""
        if self.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._file is not None:
            self._file.close()
            self._file = None


class Stopped(Exception):
    """Somebody asked this process to stop."""


def stop_on_signals() -> None:
    """Turn the first SIGTERM or SIGINT into ``Stopped`` in the main thread; further ones do not interrupt stopping."""
    numbers = (signal.SIGTERM, signal.SIGINT)

    def handler(number: int, frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    for number in numbers:
        signal.signal(number, handler)


@dataclass
class Supervisor:
    """Keeps children running: one that ends is started again, later each time it ends soon."""

    children: Sequence[Child]
    first_pause: float = 1.0
    longest_pause: float = 60.0
    healthy_seconds: float = 60.0

    def run(self) -> None:
        """Start all and watch them until ``Stopped``; then stop them, the last started first."""
        pause = dict.fromkeys(range(len(self.children)), self.first_pause)
        due = dict.fromkeys(range(len(self.children)), 0.0)
        started = dict.fromkeys(range(len(self.children)), 0.0)
        try:
            while True:
                now = time.monotonic()
                for number, child in enumerate(self.children):
                    if child.running or now < due[number]:
                        continue
                    if child.process is not None and due[number] == 0.0:
                        soon = now - started[number] < self.healthy_seconds
                        pause[number] = min(pause[number] * 2, self.longest_pause) if soon else self.first_pause
                        due[number] = now + pause[number]
                        log.error("%s ended (%s); starting it again in %d s", child.name, child.code, pause[number])
                        continue
                    child.kill()
                    child.start()
                    started[number], due[number] = time.monotonic(), 0.0
                time.sleep(0.2)
        except Stopped as reason:
            log.info("stopping (%s): running deploys are handed back", reason)
        finally:
            self.stop()

    def stop(self) -> None:
        """Ask all to stop at the same time, then wait for each."""
        for child in reversed(self.children):
            child.ask_to_stop()
        for child in reversed(self.children):
            child.stop()
