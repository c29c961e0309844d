"""What brokers do with messages that take long, and queues of their own for services of their own."""

import pytest

from ftp_deploy.models import Deploy, LeaseEvent
from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.faults.stage import Site, Stage
from tests.faults.test_processes import BIG, SLOW, running
from tests.servers.programs import wait_until
from tests.servers.rabbitmq import RabbitMQ

pytestmark = pytest.mark.integration


def deploy_slowly(stage: Stage, site: Site) -> None:
    """Deploy something that takes about ten seconds, and stop nothing meanwhile."""
    web = stage.project.web()
    stage.project.worker(beat=True)
    stage.ftp.rate = SLOW
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: running(site, Deploy.Phase.UPLOADING), "the upload runs")
    judge(stage)


def ran_once(site: Site) -> bool:
    """Say whether nobody else ever claimed the service and the deploy needed one attempt."""
    begun = LeaseEvent.objects.using(site.stage.alias).filter(service=site.pk, event="begin").count()
    deploy = site.deploys.get()
    return (begun, deploy.attempts, deploy.crashes) == (1, 1, 0)


@pytest.mark.faults
def test_redis_whose_visibility_timeout_is_shorter_than_a_deploy(open_stage: OpenStage) -> None:
    stage = open_stage(
        "postgresql-redis",
        FTP_DEPLOY_LEASE_SECONDS=60,
        CELERY_BROKER_TRANSPORT_OPTIONS={"visibility_timeout": 2, "socket_timeout": 10, "socket_connect_timeout": 2},
    )
    site = stage.add_site()
    deploy_slowly(stage, site)
    assert ran_once(site)


@pytest.mark.faults
def test_rabbitmq_whose_consumer_timeout_is_shorter_than_a_deploy(open_stage: OpenStage, rabbitmq: RabbitMQ) -> None:
    """The server looks once a minute by default; here every second."""
    rabbitmq.configure(consumer_timeout=2000, channel_tick_interval=1000)
    try:
        stage = open_stage("postgresql-rabbitmq", FTP_DEPLOY_LEASE_SECONDS=60)
        site = stage.add_site()
        deploy_slowly(stage, site)
        assert ran_once(site)
        assert "PRECONDITION_FAILED" not in stage.project.logs()
    finally:
        rabbitmq.configure()


@pytest.mark.faults
def test_quorum_queues_as_the_documentation_sets_them_up(open_stage: OpenStage) -> None:
    stage = open_stage(
        "postgresql-rabbitmq",
        CELERY_TASK_DEFAULT_QUEUE_TYPE="quorum",
        CELERY_BROKER_TRANSPORT_OPTIONS={"confirm_publish": True},
    )
    site = stage.add_site()
    web = stage.project.web()
    worker = stage.project.worker(beat=True)
    for number in range(3):
        assert site.commit({"index.html": b"%d" % number}).deliver(web.url) == 202
    judge(stage)
    assert "not implemented" not in worker.log_text().lower()


@pytest.mark.slow
def test_a_queue_of_its_own_keeps_a_large_deploy_from_delaying_others(open_stage: OpenStage) -> None:
    """Each worker takes what its queue brings, and the sweep wakes each service on its own queue."""
    stage = open_stage("postgresql-redis", FTP_DEPLOY_LEASE_SECONDS=60)
    large, hotfix = stage.add_site(queue="large"), stage.add_site()
    web = stage.project.web()
    stage.project.worker(beat=True, concurrency=1)
    stage.ftp.rate = SLOW
    assert large.commit(BIG).deliver(web.url) == 202
    assert hotfix.commit({"index.html": b"mended"}).deliver(web.url) == 202
    wait_until(lambda: hotfix.deploys.get().state == Deploy.State.SUCCEEDED, "the hotfix is live")
    assert large.deploys.get().state == Deploy.State.QUEUED
    listener = stage.project.worker("--queues", "large", concurrency=1)
    judge(stage)
    assert "ftp_deploy.run[" in listener.log_text()
