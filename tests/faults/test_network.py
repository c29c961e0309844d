"""Lines that lose packets, and a network that is away for a while: everything runs in a network of its own.

The inner test is run by the outer one inside a new network namespace: nothing else on this machine is disturbed.
"""

import os
import random
import shutil
import subprocess
import sys
import time

import pytest

from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.servers.project import ROOT

pytestmark = [pytest.mark.faults]

INSIDE = "FTP_DEPLOY_TEST_INSIDE_A_NETWORK"
LOSS = "0.03"
SETTING_UP = f"""
ip link set lo up
iptables -A INPUT -i lo -m statistic --mode random --probability {LOSS} -j DROP
exec "$@"
"""


@pytest.mark.parametrize("name", ["postgresql-redis", "sqlite-embedded"])
def test_in_a_network_of_its_own(name: str) -> None:
    if os.geteuid() != 0 or not (shutil.which("iptables") and shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("a network namespace needs root, iproute2, iptables and util-linux")
    inner = f"tests/faults/test_network.py::test_packets_are_lost_and_the_network_goes_away[{name}]"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "faults", inner]
    ran = subprocess.run(
        ["unshare", "--net", "sh", "-ec", SETTING_UP, "sh", *command],
        cwd=ROOT,
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert "1 passed" in ran.stdout


@pytest.mark.skipif(not os.environ.get(INSIDE), reason="run by the test above")
@pytest.mark.parametrize("name", ["postgresql-redis", "sqlite-embedded"])
def test_packets_are_lost_and_the_network_goes_away(name: str, open_stage: OpenStage) -> None:
    chance = random.Random(28)
    stage = open_stage(name, FTP_DEPLOY_CONNECT_TIMEOUT=15.0, FTP_DEPLOY_REPLY_TIMEOUT=15.0)
    sites = [stage.add_site() for _ in range(2)]
    web = stage.project.web()
    stage.project.worker(beat=True)
    stage.project.worker(beat=True, pool="threads", concurrency=4)
    for turn in range(4):
        for site in sites:
            site.commit(site.random_change(chance)).deliver_until_stored(web.url, seconds=120)
        if turn == 2:
            network("-I")
            time.sleep(12)  # longer than the lease: whoever held it has lost it
            network("-D")
    judge(stage)


def network(change: str) -> None:
    """Cut the network of this namespace (``-I``), or mend it (``-D``)."""
    subprocess.run(["iptables", change, "INPUT", "-i", "lo", "-j", "DROP"], check=True)
