"""Databases that are away for long, that give each transaction another session, that are not PostgreSQL."""

import time
from contextlib import ExitStack

import pytest

from ftp_deploy.models import Deploy, LeaseEvent
from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.faults.stage import Stage
from tests.faults.test_processes import BIG, SLOW, running
from tests.servers.mariadb import MariaDB
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import PostgreSQL
from tests.servers.programs import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def push_for_a_while(stage: Stage, turns: int = 4) -> None:
    """Many pushes to several services over two web servers and two workers, some of them twice."""
    sites = [stage.add_site(combine_pushes=number % 2 == 0) for number in range(4)]
    webs = [stage.project.web(), stage.project.web()]
    stage.project.worker(beat=True)
    stage.project.worker(pool="threads", concurrency=6)
    for turn in range(turns):
        for number, site in enumerate(sites):
            push = site.commit({"index.html": b"%d" % turn, f"page-{turn}/{number}": b"x" * 3000})
            assert push.deliver(webs[turn % 2].url, timeout=60) == 202
            if number == turn:
                assert push.deliver(webs[1 - turn % 2].url, timeout=60) == 200
    judge(stage)


def test_pgbouncer_in_transaction_mode(open_stage: OpenStage, postgresql: PostgreSQL) -> None:
    stage = open_stage("postgresql-redis")
    with PgBouncer(postgresql.port) as between, ExitStack() as stack:
        direct = stage.project.database_url
        stage.project.database_url = direct.replace(f":{postgresql.port}/", f":{between.port}/")
        stack.callback(stage.project.stop_processes)
        push_for_a_while(stage)
        stage.project.stop_processes()
        stage.project.database_url = direct


def test_mariadb(open_stage: OpenStage, mariadb: MariaDB) -> None:
    push_for_a_while(open_stage("mariadb-redis"))


def test_the_same_delivery_twenty_times_at_once_on_mariadb(open_stage: OpenStage, mariadb: MariaDB) -> None:
    from concurrent.futures import ThreadPoolExecutor

    stage = open_stage("mariadb-redis")
    site = stage.add_site()
    webs = [stage.project.web(), stage.project.web()]
    push = site.commit({"index.html": b"one"})
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: push.deliver(webs[number % 2].url, timeout=60), range(20)))
    assert sorted(answers) == [200] * 19 + [202]
    stage.project.worker(beat=True)
    judge(stage)


def test_sqlite_as_django_opens_it_without_being_told(open_stage: OpenStage) -> None:
    """Deferred transactions: whoever reads first and then writes may be turned away at once. No hook ever is."""
    stage = open_stage("sqlite-embedded")
    stage.project.variables["SQLITE_MODE"] = "DEFERRED"
    push_for_a_while(stage)


def test_a_database_that_is_away_for_longer_than_the_lease(open_stage: OpenStage, postgresql: PostgreSQL) -> None:
    """The run stops by itself, and nothing it did is lost."""
    stage = open_stage("postgresql-redis", FTP_DEPLOY_LEASE_SECONDS=4, FTP_DEPLOY_HEARTBEAT_SECONDS=0.5)
    site = stage.add_site()
    web = stage.project.web()
    worker = stage.project.worker(beat=True)
    stage.ftp.rate = SLOW
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: running(site, Deploy.Phase.UPLOADING), "the upload runs")
    postgresql.crash()
    try:
        wait_until(lambda: "another worker goes on" in worker.log_text(), "the run stops by itself")
        time.sleep(1)  # long enough to see that it stays so
    finally:
        postgresql.start()
    stage.ftp.rate = 0
    judge(stage)
    begun = LeaseEvent.objects.using(stage.alias).filter(service=site.pk, event="begin").count()
    assert begun >= 2
