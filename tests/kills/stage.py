"""One kill run: a real deploy through a proxy, something killed at a seeded moment, the judgement, and the retry.

The moment is a number of bytes within a phase of the deploy, so that it means the same on a fast and on a slow
machine. How many bytes a phase has is measured once for each server, in a run that is left alone.
"""

import contextlib
import multiprocessing
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ftp_deploy.deploys.manifest import Manifest
from tests.kills import worker
from tests.kills.worker import PHASES, Job
from tests.servers.base import ProcessServer
from tests.servers.proxy import TO_SERVER, FTPProxy, Proxy

LONGEST_RUN = 120.0
TRIES = 4
"""Runs after which a deploy has to be live: a server that is away for a moment may cost one."""

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.kills.worker"])


def make_trees() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return what is live and what is pushed: changed, new, removed and unchanged files, from empty to 400 kB.

    The same for all seeds, so that all runs to one server have about the same length.
    """
    dice = random.Random(0)
    live = {f"d{n % 5}/file {n}.bin": dice.randbytes(dice.choice([0, 10, 2000, 20_000])) for n in range(110)}
    tree = dict(live)
    for number, path in enumerate(sorted(live)):
        if number % 10 == 3:
            del tree[path]
        elif number % 10 != 7:
            tree[path] = dice.randbytes(dice.choice([0, 10, 2000, 20_000]))
    tree |= {f"new/{n % 3}/file {n}.bin": dice.randbytes(dice.choice([0, 10, 2000])) for n in range(40)}
    tree["d0/large.bin"] = dice.randbytes(400_000)
    return live, tree


LIVE, TREE = make_trees()


@dataclass
class Trap:
    """Counts the bytes to the server by phase, and acts once when its moment has come."""

    phase: Any
    at: tuple[int, int] | None = None
    """Phase and byte; None: never."""
    delay: float = 0.0
    act: Callable[[], None] = lambda: None
    counts: list[int] = field(default_factory=lambda: [0] * len(PHASES))
    sprung: bool = False
    thread: threading.Thread | None = None
    error: BaseException | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, direction: str, data: bytes) -> None:
        """Count; called by the proxy before it passes the data on."""
        if direction != TO_SERVER:
            return
        with self.lock:
            phase = self.phase.value
            self.counts[phase] += len(data)
            due = self.at is not None and (phase, self.counts[phase]) >= self.at and not self.sprung
            if due:
                self.sprung = True
                self.thread = threading.Thread(target=self._spring)
                self.thread.start()
        if due and not self.delay and self.thread:
            self.thread.join(0.2)  # what comes after this byte waits until it has happened

    def _spring(self) -> None:
        try:
            time.sleep(self.delay)
            self.act()
        except BaseException as error:
            self.error = error

    def wait(self) -> None:
        """Wait until it has done what it does."""
        if self.thread:
            self.thread.join(LONGEST_RUN)
            assert not self.thread.is_alive()
        if self.error:
            raise self.error


class KillRun:
    """One server, one proxy, one database, and deploys in processes of their own."""

    def __init__(self, server: ProcessServer, port: int, folder: Path, template: Path, **target: Any) -> None:
        self.server = server
        self.proxy: Proxy
        """Between the deploy and the server, where there is one."""
        self.folder = folder
        self.database = folder / "kill.sqlite3"
        shutil.copy(template, self.database)
        self.phase = context.Value("i", 0)
        self.trap = Trap(self.phase)
        for path, content in LIVE.items():
            server.write(path, content)
        values = asdict(server.target(port=port, **target))
        names = ("protocol", "host", "port", "username", "password", "private_key", "path", "fingerprint")
        fields = {name: values[name] for name in (*names, "certificate_authority", "max_connections")}
        self.job = Job(str(self.database), fields, LIVE, TREE, str(folder / "sent"))
        call(worker.prepare, self.job)

    # Running

    def start(self) -> Any:
        """Start a worker that deploys what waits."""
        self.phase.value = 0
        Path(self.job.sent).unlink(missing_ok=True)
        process = context.Process(target=worker.run, args=(self.job, self.phase), daemon=True)
        process.start()
        return process

    def finish(self, process: Any) -> None:
        """Wait for a worker's end."""
        process.join(LONGEST_RUN)
        assert process.exitcode is not None, "the deploy does not end"

    def deploy_until_live(self) -> None:
        """Run the deploy again, as its retry would, until it has succeeded."""
        for _ in range(TRIES):
            self.make_due()
            if self.state() == "succeeded":
                return
            self.finish(self.start())
        assert self.state() == "succeeded", self.story()

    # The database, as the test sees it

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=60)) as connection, connection:
            return connection.execute(sql).fetchall()

    def make_due(self) -> None:
        """End a dead worker's lease and the pause before a retry."""
        self.query("UPDATE ftp_deploy_service SET lease_until = NULL, lease_owner = ''")
        self.query("UPDATE ftp_deploy_deploy SET next_attempt_at = NULL")

    def state(self) -> str:
        """Return the state of the deploy."""
        return str(self.query("SELECT state FROM ftp_deploy_deploy")[0][0])

    def story(self) -> str:
        """Return what is known of the deploy, for a message."""
        rows = self.query("SELECT state, phase, error, attempts, crashes FROM ftp_deploy_deploy")
        lines = self.query("SELECT text FROM ftp_deploy_logline ORDER BY id")
        return "\n".join(map(str, [*rows, *(line for (line,) in lines)]))

    def complete(self) -> set[str]:
        """Return the temporary paths that are known to hold complete uploads."""
        rows = self.query("SELECT temporary_path FROM ftp_deploy_change WHERE state = 'uploaded'")
        return {path for (path,) in rows}

    def sent(self) -> set[str]:
        """Return the temporary paths that the last worker uploaded."""
        place = Path(self.job.sent)
        return set(place.read_text().splitlines()) if place.exists() else set()

    def manifest(self) -> Manifest:
        """Return what the database says that the server holds."""
        return Manifest.load(self.query("SELECT data FROM ftp_deploy_servicemanifest")[0][0])

    # The judgement

    def judge_files(self) -> None:
        """Each live file is all old or all new; only a new one may be missing, only a removed one may be gone."""
        for path in sorted({*LIVE, *TREE}):
            content = self.server.read(path)
            allowed = {LIVE.get(path), TREE.get(path)}
            assert content in allowed, f"{path} has {len(content or b'')} bytes that are neither old nor new"

    def judge_end(self) -> None:
        """The server holds the pushed tree and nothing else, and the manifest says so."""
        found = {path: self.server.read(path) for path in self.server.files()}
        wrong = sorted(path for path in found.keys() | TREE.keys() if found.get(path) != TREE.get(path))
        assert not wrong, f"{wrong}\n{self.story()}"
        assert {path: entry.size for path, entry in self.manifest().items()} == {
            path: len(content) for path, content in TREE.items()
        }
        assert not self.query("SELECT 1 FROM ftp_deploy_change WHERE temporary_path != ''")


def call(function: Callable[..., None], *arguments: Any) -> None:
    """Run a function in a process of its own."""
    process = context.Process(target=function, args=arguments, daemon=True)
    process.start()
    process.join(LONGEST_RUN)
    assert process.exitcode == 0, f"{function.__name__} failed"


@contextlib.contextmanager
def kill_run(server: ProcessServer, folder: Path, template: Path) -> Iterator[KillRun]:
    """Build one run."""
    # Data connections are led through the proxy where it can read the control connection, which TLS does not let it.
    kind = FTPProxy if server.target().protocol == "ftp" else Proxy
    with kind(server.port) as proxy:
        made = KillRun(server, proxy.port, folder, template)
        made.proxy = proxy
        proxy.watch = lambda direction, data: made.trap.watch(direction, data)
        yield made
