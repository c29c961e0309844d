"""Machines whose clocks disagree, and a clock that jumps: the lease goes by the database's clock alone."""

import glob
from pathlib import Path

import pytest

from ftp_deploy.models import Deploy
from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.faults.test_brokers import ran_once
from tests.faults.test_processes import BIG, SLOW, running, temporary_files
from tests.servers.programs import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def library() -> str:
    """Return libfaketime, which programs load before all others."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        pytest.skip("libfaketime is missing: install the Debian package libfaketime")
    return found[0]


def clock(shift: str) -> dict[str, str]:
    """Return the environment of a process whose clock is ahead (``+3600``) or behind (``-3600``)."""
    return {"LD_PRELOAD": library(), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def changing_clock(file: Path) -> dict[str, str]:
    """The same for a shift that is read from a file again and again."""
    more = {"FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}
    return {"LD_PRELOAD": library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **more}


@pytest.mark.parametrize("name", ["postgresql-redis", "postgresql-rabbitmq"])
def test_workers_an_hour_ahead_and_an_hour_behind(name: str, open_stage: OpenStage) -> None:
    """The one that dies is taken over by the other, in both directions."""
    stage = open_stage(name)
    sites = [stage.add_site() for _ in range(2)]
    web = stage.project.web(**clock("+1800"))
    for turn, (shift, other) in enumerate((("+3600", "-3600"), ("-3600", "+3600"))):
        files = {path: bytes([turn]) + (content or b"") for path, content in BIG.items()}
        first = stage.project.worker(beat=True, **clock(shift))
        stage.ftp.rate = SLOW
        for site in sites:
            assert site.commit({**files, "index.html": shift.encode()}).deliver(web.url) == 202
        wait_until(lambda: temporary_files(sites[0]), "a file is under way")
        second = stage.project.worker(beat=True, pool="threads", **clock(other))
        first.kill()
        stage.ftp.rate = 0
        judge(stage)
        second.kill()


@pytest.mark.parametrize("shift", ["+7200", "-7200"])
def test_a_clock_that_jumps_in_mid_lease(shift: str, open_stage: OpenStage, tmp_path: Path) -> None:
    stage = open_stage("postgresql-redis", FTP_DEPLOY_LEASE_SECONDS=60)
    site = stage.add_site()
    web = stage.project.web()
    told = tmp_path / "time"
    told.write_text("+0")
    stage.project.worker(beat=True, **changing_clock(told))
    stage.ftp.rate = SLOW
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: running(site, Deploy.Phase.UPLOADING), "the upload runs")
    told.write_text(shift)
    judge(stage)
    assert ran_once(site)
