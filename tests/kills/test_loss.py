"""Deploys over a link that loses packets, and that is down for a while in the middle.

The two ends are network namespaces; ``netdelay`` in between drops packets. That needs root.
"""

import random
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.link import Link, inside, ip, link, missing
from tests.kills.stage import KillRun
from tests.kills.test_kills import COUNT, FIRST, SERVERS, template  # noqa: F401
from tests.servers.certificates import Certificates
from tests.servers.fixtures import StartServer
from tests.servers.sshd import OpenSSH

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.faults, pytest.mark.kills]

RTT = 10.0
PER_CENT = (1, 3, 6)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(1, COUNT // 5)))
@pytest.mark.parametrize("what", ["loss"])
@pytest.mark.parametrize("protocol", list(SERVERS))
def test_a_link_that_loses_packets(
    protocol: str,
    what: str,
    seed: int,
    start_server: StartServer,
    certificates: Certificates,
    template: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    if reason := missing():
        pytest.skip(reason)
    dice = random.Random(f"{protocol} {what} {seed}")
    name, tls = SERVERS[protocol][seed % len(SERVERS[protocol])]
    loss, pause, cut_after = dice.choice(PER_CENT), dice.uniform(0.2, 3.0), dice.uniform(0.2, 2.0)
    print(f"{protocol} {what} seed {seed}: {name}, {loss} %, down for {pause:.1f} s after {cut_after:.1f} s")  # noqa: T201
    with link(RTT, tmp_path, loss) as made:
        with inside(made.server):
            server: Any = OpenSSH(quiet=True, host=made.host) if name == "openssh" else None
            if server:
                server.start()
            else:
                server = start_server(name, tls, host=made.host)
        try:
            deploy_over(made, server, certificates if tls else None, template, tmp_path, cut_after, pause)
        finally:
            server.stop()


def deploy_over(
    made: Link,
    server: Any,
    certificates: Certificates | None,
    template: Path,  # noqa: F811
    folder: Path,
    cut_after: float,
    pause: float,
) -> None:
    pinned = {"certificate_authority": "", "fingerprint": certificates.fingerprint} if certificates else {}
    run = KillRun(server, server.port, folder, template, **pinned)
    run.job = replace(run.job, namespace=made.client)
    process = run.start()
    ended = threading.Event()

    def cut() -> None:
        if not ended.wait(cut_after):
            ip("-n", made.client, "link", "set", made.device, "down")
            time.sleep(pause)
            ip("-n", made.client, "link", "set", made.device, "up")

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        run.finish(process)
    finally:
        ended.set()
        cutter.join()
    run.judge_files()
    run.deploy_until_live()
    run.judge_end()
