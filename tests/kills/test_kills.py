"""The server, the worker or the link is killed in the middle of a deploy, at a moment that the seed chooses.

Afterwards each live file is all old or all new, and the retry ends with the pushed tree live, without sending again
what was known to be complete. ``fab kills`` runs many seeds; ``fab test`` only the first ones.

``FTP_DEPLOY_KILL_SEEDS``: how many seeds (default 50). ``FTP_DEPLOY_KILL_SEED``: the first one of them (default 0).
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kills import worker
from tests.kills.stage import KillRun, call, kill_run
from tests.kills.worker import PHASES
from tests.servers.base import ProcessServer, kill
from tests.servers.fixtures import StartServer
from tests.servers.sshd import OpenSSH

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SERVERS: dict[str, list[tuple[str, str]]] = {
    "ftp": [("vsftpd", ""), ("proftpd", ""), ("pure-ftpd", "")],
    "ftps": [("vsftpd", "explicit"), ("proftpd", "explicit"), ("pure-ftpd", "explicit")],
    "ftps-implicit": [("vsftpd", "implicit"), ("proftpd", "implicit")],
    "sftp": [("openssh", "")],
}
"""Protocol: the servers that its seeds go round."""
KINDS = ("server", "worker", "link")
FIRST = int(os.environ.get("FTP_DEPLOY_KILL_SEED") or 0)
COUNT = int(os.environ.get("FTP_DEPLOY_KILL_SEEDS") or 50)
QUICK = [("ftp", "worker", 1), ("ftps", "server", 0), ("sftp", "link", 2)]
"""What ``fab test`` runs."""
ALL = [(one, what, seed) for seed in range(FIRST, FIRST + COUNT) for one in SERVERS for what in KINDS]
"""Seed by seed, so that a run that is ended early has tried everything as often."""

Lengths = dict[tuple[str, str], list[int]]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables."""
    place = tmp_path_factory.mktemp("kills") / "template.sqlite3"
    call(worker.migrate, str(place))
    return place


@pytest.fixture(scope="session")
def lengths() -> Lengths:
    """Bytes to the server by phase, for each server that was measured."""
    return {}


@pytest.fixture
def begin(start_server: StartServer, template: Path, tmp_path: Path) -> Iterator[Callable[[str, str], KillRun]]:
    """A function that builds a run on a fresh server."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def opened(name: str, tls: str) -> KillRun:
            if name == "openssh":
                server: Any = stack.enter_context(OpenSSH(quiet=True))
            else:
                server = start_server(name, tls)
            folder = tmp_path / f"run{time.monotonic_ns()}"
            folder.mkdir()
            return stack.enter_context(kill_run(server, folder, template))

        yield opened


def measure(begin: Callable[[str, str], KillRun], lengths: Lengths, kind: tuple[str, str]) -> list[int]:
    """Return how many bytes each phase has on a kind of server, by a run that nobody disturbs."""
    if kind not in lengths:
        calm = begin(*kind)
        calm.finish(calm.start())
        assert calm.state() == "succeeded", calm.story()
        calm.judge_end()
        lengths[kind] = calm.trap.counts
    return lengths[kind]


def run(protocol: str, what: str, seed: int, begin: Callable[[str, str], KillRun], lengths: Lengths) -> None:
    """One seed."""
    kinds = SERVERS[protocol]
    kind = kinds[seed % len(kinds)]
    counts = measure(begin, lengths, kind)
    dice = random.Random(f"{protocol} {what} {seed}")
    # Connecting is short and has its own tests: most runs are cut where files are on their way.
    phase = dice.choices(range(len(PHASES)), [1, 3, 3])[0]
    byte = dice.randint(1, max(1, int(counts[phase] * 0.95)))
    made = begin(*kind)
    made.trap.at = (phase, byte)
    made.trap.delay = dice.choice([0.0, 0.0, dice.uniform(0, 0.05)])
    print(f"{protocol} {what} seed {seed}: {kind[0]}, {PHASES[phase]} byte {byte} of {counts[phase]}")  # noqa: T201
    {"server": kill_server, "worker": kill_worker, "link": cut_link}[what](made, dice)
    made.judge_end()


def kill_worker(made: KillRun, dice: random.Random) -> None:
    process = made.start()
    made.trap.act = process.kill
    made.finish(process)
    made.trap.wait()
    assert made.trap.sprung, "the moment never came"
    made.judge_files()
    complete = made.complete()
    made.deploy_until_live()
    assert not made.sent() & complete, "sent again although it was complete"


def kill_server(made: KillRun, dice: random.Random) -> None:
    pause = dice.uniform(0.0, 0.7)

    def restart() -> None:
        made.server.kill()
        try:
            made.judge_files()
        finally:
            time.sleep(pause)
            made.server.start()
            made.proxy.target = made.server.port

    made.trap.act = restart
    made.finish(made.start())
    made.trap.wait()
    assert made.trap.sprung, "the moment never came"
    made.judge_files()
    made.deploy_until_live()


def cut_link(made: KillRun, dice: random.Random) -> None:
    """Cut everything under way. TLS hides data connections from the proxy: there the sessions are killed as well."""
    pause = dice.uniform(0.0, 0.7)

    def cut() -> None:
        made.proxy.refuse()
        if made.server.tls:
            cut_sessions(made.server)
        made.judge_files()
        time.sleep(pause)
        made.proxy.resume()

    made.trap.act = cut
    made.finish(made.start())
    made.trap.wait()
    assert made.trap.sprung, "the moment never came"
    made.judge_files()
    made.deploy_until_live()


def cut_sessions(server: ProcessServer) -> None:
    for pid in server.processes()[1:]:
        kill(pid)


@pytest.mark.parametrize(("protocol", "what", "seed"), QUICK)
def test_a_few_seeds(
    protocol: str, what: str, seed: int, begin: Callable[[str, str], KillRun], lengths: Lengths
) -> None:
    run(protocol, what, seed, begin, lengths)


@pytest.mark.faults
@pytest.mark.kills
@pytest.mark.parametrize(("protocol", "what", "seed"), ALL, ids=[f"{one}-{what}-{seed}" for one, what, seed in ALL])
def test_many_seeds(
    protocol: str, what: str, seed: int, begin: Callable[[str, str], KillRun], lengths: Lengths
) -> None:
    run(protocol, what, seed, begin, lengths)
