"""Servers, sessions and workers are killed at random moments: every live file stays whole, old or new, and a retry ends
the work without sending again what had arrived.

``FTP_DEPLOY_KILL_RUNS`` is the number of runs for each kind; each has its seed in its name.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from tests.servers.base import ProcessServer, kill
from tests.servers.fixtures import StartServer
from tests.transports.kill_worker import deploy, temporary

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RUNS = int(os.environ.get("FTP_DEPLOY_KILL_RUNS", "3"))
SERVER_KINDS = [("vsftpd", ""), ("proftpd", ""), ("pure-ftpd", ""), ("vsftpd", "explicit")]


def make_tree(dice: random.Random) -> dict[str, bytes]:
    sizes = [0, 10, 2000, 300_000]
    return {f"d{n % 4}/file {n}.bin": dice.randbytes(dice.choice(sizes)) for n in range(60)}


def start(start_server: StartServer, name: str, tls: str, tree: dict[str, bytes]) -> ProcessServer:
    server = start_server(name, tls)
    assert isinstance(server, ProcessServer)
    for path in sorted(tree)[::2]:
        server.write(path, b"old " + path.encode())
    return server


def check_whole(server: ProcessServer, tree: dict[str, bytes], *, may_be_missing: bool) -> None:
    """Every file that existed is old or new; one that did not exist is new, or missing still."""
    for number, path in enumerate(sorted(tree)):
        content = server.read(path)
        if number % 2:
            assert content == tree[path] or (content is None and may_be_missing), path
        else:
            assert content in (tree[path], b"old " + path.encode()), path


def meanwhile(delay: float, act: Callable[[], None]) -> threading.Thread:
    def wait_and_act() -> None:
        time.sleep(delay)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


@pytest.mark.parametrize(("name", "tls"), SERVER_KINDS)
@pytest.mark.parametrize("seed", range(RUNS))
def test_sessions_are_cut(start_server: StartServer, name: str, tls: str, seed: int) -> None:
    """All connections drop at once; the transport goes on by itself."""
    dice = random.Random(seed)
    tree = make_tree(dice)
    server = start(start_server, name, tls, tree)

    def cut() -> None:
        for pid in server.processes()[1:]:
            kill(pid)

    cutter = meanwhile(dice.uniform(0.02, 0.6), cut)
    deploy(server.target(connect_timeout=10), tree, set(), lambda *_: None)
    cutter.join()
    assert {path: server.read(path) for path in tree} == tree
    assert server.files() == set(tree)


@pytest.mark.parametrize(("name", "tls"), SERVER_KINDS)
@pytest.mark.parametrize("seed", range(RUNS))
def test_the_server_is_killed_and_comes_back(start_server: StartServer, name: str, tls: str, seed: int) -> None:
    dice = random.Random(1000 + seed)
    tree = make_tree(dice)
    server = start(start_server, name, tls, tree)
    port = server.port

    def restart() -> None:
        server.kill()
        time.sleep(dice.uniform(0.0, 1.0))
        server.start()

    killer = meanwhile(dice.uniform(0.02, 0.6), restart)
    deploy(server.target(connect_timeout=10), tree, set(), lambda *_: None)
    killer.join()
    if server.port != port:
        pytest.skip("the port was taken by somebody else meanwhile")
    assert {path: server.read(path) for path in tree} == tree
    assert server.files() == set(tree)


@pytest.mark.parametrize(("name", "tls"), SERVER_KINDS)
@pytest.mark.parametrize("seed", range(RUNS))
def test_the_worker_is_killed_and_another_goes_on(start_server: StartServer, name: str, tls: str, seed: int) -> None:
    dice = random.Random(2000 + seed)
    tree = make_tree(dice)
    server = start(start_server, name, tls, tree)
    said = run_worker(server, tree, set(), kill_after=dice.uniform(0.3, 2.0))
    check_whole(server, tree, may_be_missing=True)
    applied = {path for word, path in said if word == "applied"}
    arrived = {path for path in tree if server.read(temporary(path)) == tree[path]}
    again = run_worker(server, tree, applied)
    assert {path: server.read(path) for path in tree} == tree
    assert server.files() == set(tree)
    # What had arrived is not sent again; a rename that was done but not reported has to be.
    assert not {path for word, path in again if word == "sent"} & arrived


def run_worker(
    server: ProcessServer, tree: dict[str, bytes], applied: set[str], kill_after: float | None = None
) -> list[tuple[str, str]]:
    target = asdict(server.target())
    target.pop("traits")
    job: dict[str, Any] = {
        "target": target,
        "applied": sorted(applied),
        "tree": {path: content.decode("latin-1") for path, content in tree.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.transports.kill_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    timer = threading.Timer(kill_after, process.kill) if kill_after else None
    if timer:
        timer.start()
    output, _ = process.communicate(json.dumps(job).encode(), timeout=120)
    if timer:
        timer.cancel()
        timer.join()
    else:
        assert process.returncode == 0
    lines = [line.partition(" ") for line in output.decode().splitlines()]
    return [(word, path) for word, _, path in lines]
