"""A broker that is down or hangs holds up no push, and what no message announced is found by the sweep."""

import pytest

from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.faults.stage import Stage, Stopwatch
from tests.servers.programs import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

BOUNDED_SECONDS = 15.0
"""A request that waits for a broker is not answered within this time, however busy the machine. The benchmark measures
what the answer takes: at most 3 s with a broker that hangs, 0.5 s with one that is down."""


@pytest.mark.parametrize("name", ["postgresql-redis", "postgresql-rabbitmq"])
def test_no_push_waits_for_a_broker_that_is_down_or_hangs(name: str, open_stage: OpenStage) -> None:
    stage = open_stage(name)
    site = stage.add_site()
    web = stage.project.web()
    assert stage.broker
    assert site.commit(site_files(0)).deliver(web.url) == 202
    stage.broker.refuse()
    for number in (1, 2):
        assert post_within(stage, number, web.url) < BOUNDED_SECONDS
    stage.broker.resume()
    stage.broker.hang()
    for number in range(3, 6):
        assert post_within(stage, number, web.url) < BOUNDED_SECONDS
    wait_until(lambda: "was not published" in stage.project.logs(), "the web server says that it woke nobody")
    stage.broker.resume()
    stage.project.worker(beat=True)
    judge(stage)


def site_files(number: int) -> dict[str, bytes | None]:
    return {"index.html": b"%d" % number}


def post_within(stage: Stage, number: int, url: str) -> float:
    """Deliver a push; return the seconds until the answer."""
    push = stage.sites[0].commit(site_files(number))
    with Stopwatch() as watch:
        status = push.deliver(url, timeout=60)
    assert status == 202
    return watch.seconds


def test_many_pushes_at_once_while_the_broker_hangs(open_stage: OpenStage) -> None:
    """More requests than publishers that may hang, and more than the broker pool has connections."""
    from concurrent.futures import ThreadPoolExecutor

    stage = open_stage("postgresql-redis")
    sites = [stage.add_site() for _ in range(16)]
    web = stage.project.web(threads=16)
    assert stage.broker
    stage.broker.hang()
    pushes = [site.commit(site_files(1)) for site in sites]
    with ThreadPoolExecutor(16) as pool, Stopwatch() as watch:
        statuses = list(pool.map(lambda push: push.deliver(web.url, timeout=60), pushes))
    assert statuses == [202] * 16
    assert watch.seconds < BOUNDED_SECONDS
    stage.broker.resume()
    stage.project.worker(beat=True, pool="threads", concurrency=8)
    judge(stage)


def test_a_redis_that_forgot_everything_loses_no_push(open_stage: OpenStage, redis) -> None:
    stage = open_stage("postgresql-redis")
    sites = [stage.add_site() for _ in range(3)]
    web = stage.project.web()
    for site in sites:
        assert site.commit(site_files(1)).deliver(web.url) == 202
    assert redis.ask("FLUSHALL") == b"+OK\r\n"
    redis.kill()
    assert sites[0].commit(site_files(2)).deliver(web.url) == 202
    redis.start()
    stage.project.worker(beat=True)
    judge(stage)


@pytest.mark.faults
def test_a_rabbitmq_that_is_killed_loses_no_push(open_stage: OpenStage, rabbitmq) -> None:
    stage = open_stage("postgresql-rabbitmq")
    site = stage.add_site()
    web = stage.project.web()
    stage.project.worker(beat=True)
    assert site.commit(site_files(1)).deliver(web.url) == 202
    rabbitmq.kill()
    assert site.commit(site_files(2)).deliver(web.url) == 202
    rabbitmq.start()
    judge(stage)


def test_a_worker_that_starts_sweeps_without_beat(open_stage: OpenStage) -> None:
    stage = open_stage("sqlite-embedded")
    site = stage.add_site()
    web = stage.project.web()
    assert site.commit(site_files(1)).deliver(web.url) == 202
    for message in (stage.project.folder / "broker" / "messages").iterdir():
        message.unlink()
    stage.project.worker()
    judge(stage)


def test_the_same_message_many_times_runs_once(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    web = stage.project.web()
    assert site.commit(site_files(1)).deliver(web.url) == 202
    stage.project.python(
        f"from ftp_deploy.deploys.wakeup import send\nfor _ in range(10): send('ftp_deploy.run', {site.pk})"
    )
    stage.project.worker(concurrency=4)
    judge(stage)
    assert site.deploys.get().attempts == 1
    wait_until(lambda: site.service.lease_until is None, "the lease is let go")
