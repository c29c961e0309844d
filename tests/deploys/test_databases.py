"""What the queue asks of a database, on PostgreSQL: the same tests, claims from many processes, and indexes in use."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.postgresql import PostgreSQL
from tests.servers.project import ROOT, Project

pytestmark = pytest.mark.integration

CONTRACT = (
    "test_append.py", "test_lease.py", "test_queue.py",
    "runner/test_runner.py", "runner/test_choices.py", "runner/test_faults.py",
    "test_tallies.py",
)  # fmt: skip
"""Tests of this folder that have to pass on every database."""


@pytest.fixture
def project(postgresql: PostgreSQL) -> Iterator[Project]:
    with Project(postgresql.new_database(), "memory://") as made:
        made.manage("migrate", "-v0")
        yield made


@pytest.mark.parametrize("module", CONTRACT)
def test_the_same_tests_pass_on_postgresql(postgresql: PostgreSQL, module: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/deploys/{module}"],
        cwd=ROOT,
        env={**os.environ, "TEST_DATABASE_URL": postgresql.url(f"contract_{Path(module).stem}")},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout


ONE_CLAIMANT = """
import json, time
from ftp_deploy.deploys import lease
from ftp_deploy.models import Service
service = Service.objects.get()
won, ends = [], time.monotonic() + 4
while time.monotonic() < ends:
    held = lease.claim(service.pk)
    if held:
        won.append(held.epoch)
        time.sleep(0.005)
        held.release()
print(json.dumps(won))
"""

ADD_SERVICE = """
from ftp_deploy.models import Service
Service.objects.create(host="ftp.example.com", username="site", repository_name="site", repository_slug="owner/site")
"""


@pytest.mark.parametrize("database", ["postgresql", "sqlite", "sqlite deferred"])
def test_of_many_processes_that_claim_one_at_a_time_wins(database: str, project: Project) -> None:
    with Project("" if "sqlite" in database else project.database_url, "memory://") as claimed:
        if "deferred" in database:
            claimed.variables["SQLITE_MODE"] = "DEFERRED"
        claimed.manage("migrate", "-v0")
        claimed.python(ADD_SERVICE)
        command = [sys.executable, "-c", "import django\ndjango.setup()\n" + ONE_CLAIMANT]
        claimants = [
            subprocess.Popen(command, env=claimed.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(8)
        ]
        ended = [claimant.communicate(timeout=120) for claimant in claimants]
        errors = "".join(error.decode() for _output, error in ended)
        assert [claimant.returncode for claimant in claimants] == [0] * 8, errors[-3000:]
        epochs = sorted(epoch for output, _error in ended for epoch in json.loads(output))
        assert epochs == list(range(1, len(epochs) + 1))
        assert len(epochs) > 8
        overlaps = claimed.python(OVERLAPS)
        assert overlaps.split() == ["0", str(len(epochs) * 2)]


OVERLAPS = """
from ftp_deploy.models import LeaseEvent
events = list(LeaseEvent.objects.order_by("pk").values_list("epoch", "event", "at"))
expected = [(epoch, event) for epoch in range(1, len(events) // 2 + 1) for event in ("begin", "end")]
in_order = [(epoch, event) for epoch, event, _at in events] == expected
print(0 if in_order and all(a[2] <= b[2] for a, b in zip(events, events[1:])) else 1, len(events))
"""


def test_the_next_deploy_and_what_is_due_are_found_by_indexes(project: Project) -> None:
    found = json.loads(project.python(FILL_AND_EXPLAIN))
    assert (found["waiting"], found["services"]) == (100_000, 1000)
    plans = [*found["claim"].values(), found["sweep"]]
    on_deploys = [plan for plan in plans if "ftp_deploy_deploy" in plan]
    assert len(on_deploys) >= 4
    for plan in on_deploys:
        assert "Index" in plan, plan
        assert "Seq Scan on ftp_deploy_deploy" not in plan, plan


FILL_AND_EXPLAIN = """
import json
from tests.deploys.backlog import explain, fill
fill(services=1000, deploys=100)
print(json.dumps(explain()))
"""
