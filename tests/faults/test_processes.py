"""Processes that are killed, frozen or asked to stop at chosen moments."""

import signal
import socket
from pathlib import Path

import pytest

from ftp_deploy.models import Address, Change, Deploy, Message, Notification
from ftp_deploy.models.message import Channel, MessageState
from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.faults.stage import Site, Stage
from tests.servers.programs import DEADLINE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SLOW = 200_000
"""Bytes per second and connection, so that an upload is still under way when its process is told to stop."""

BIG: dict[str, bytes | None] = {f"file-{number:02}.bin": bytes([number]) * 400_000 for number in range(12)}


def running(site: Site, phase: str) -> bool:
    return bool(site.deploys.filter(state=Deploy.State.RUNNING, phase=phase).exists())


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_asked_to_stop_finishes_its_files_and_hands_its_deploy_back(pool: str, open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis", CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT=60.0)
    site = stage.add_site()
    web = stage.project.web()
    worker = stage.project.worker(pool=pool)
    stage.ftp.rate = SLOW
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: running(site, Deploy.Phase.UPLOADING), "the upload runs")
    wait_until(lambda: temporary_files(site), "a file is under way")
    worker.terminate()
    deploy = site.deploys.get()
    assert (deploy.state, deploy.attempts, deploy.crashes) == (Deploy.State.QUEUED, 0, 0), stage.project.logs()[-4000:]
    assert site.service.lease_until is None
    complete = set(deploy.changes.filter(state=Change.State.UPLOADED).values_list("temporary_path", flat=True))
    on_server = {path.name: path.stat().st_size for path in temporary_files(site)}
    assert complete
    assert on_server == dict.fromkeys(complete, 400_000), "a file under way was cut"
    assert len(complete) < len(BIG)
    stage.ftp.rate = 0
    stage.project.worker(beat=True)
    judge(stage)
    log = [line.text for line in deploy.log_lines.all()]
    assert f"{len(complete)} files of an earlier run are complete on the server and are not sent again." in log


def test_a_worker_asked_to_stop_cuts_files_that_take_too_long(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    web = stage.project.web()
    worker = stage.project.worker(pool="threads")
    stage.ftp.rate = 1000
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: temporary_files(site), "a file is under way")
    worker.terminate()
    deploy = site.deploys.get()
    assert (deploy.state, deploy.attempts, deploy.crashes) == (Deploy.State.QUEUED, 0, 0), stage.project.logs()[-4000:]
    stage.ftp.rate = 0
    stage.project.worker(beat=True)
    judge(stage)


@pytest.mark.parametrize(("pool", "silent"), [("threads", "forge"), ("prefork", "server")])
def test_a_worker_asked_to_stop_waits_for_nobody_who_is_silent(pool: str, silent: str, open_stage: OpenStage) -> None:
    """With time-outs of ten minutes, so that only the stop itself can end the wait."""
    stage = open_stage(
        "postgresql-redis",
        FTP_DEPLOY_CONNECT_TIMEOUT=600.0,
        FTP_DEPLOY_REPLY_TIMEOUT=600.0,
        CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT=30.0,
    )
    site = stage.add_site()
    web = stage.project.web()
    worker = stage.project.worker(pool=pool)
    proxy = stage.git if silent == "forge" else stage.ftp
    proxy.hang()
    assert site.commit({"index.html": b"one"}).deliver(web.url) == 202
    wait_until(lambda: proxy.connections, "the silent one is asked")
    worker.terminate()
    deploy = site.deploys.get()
    assert (deploy.state, deploy.attempts, deploy.crashes) == (Deploy.State.QUEUED, 0, 0), stage.project.logs()[-4000:]
    proxy.resume()
    stage.project.worker(beat=True)
    judge(stage)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_silent_mail_server_holds_up_no_stop(pool: str, open_stage: OpenStage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stage = open_stage(
            "postgresql-redis",
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=silent.getsockname()[1],
            EMAIL_TIMEOUT=600,
        )
        site = stage.add_site(notification=all_mails(stage))
        web = stage.project.web()
        worker = stage.project.worker(pool=pool)
        assert site.commit({"index.html": b"one"}).deliver(web.url) == 202
        silent.settimeout(DEADLINE)
        held, _ = silent.accept()
        with held:
            worker.terminate()
    message = Message.objects.using(stage.alias).get(channel=Channel.MAIL)
    assert (message.state, message.attempts) == (MessageState.WAITING, 1)
    judge(stage)


def all_mails(stage: Stage) -> Notification:
    made = Notification.objects.using(stage.alias).create(name="everybody")
    Address.objects.using(stage.alias).create(notification=made, email="team@example.com")
    return made


@pytest.mark.parametrize("whole", [False, True], ids=["child", "whole worker"])
def test_a_worker_killed_in_mid_upload_is_taken_over(whole: bool, open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    web = stage.project.web()
    worker = stage.project.worker()
    stage.ftp.rate = SLOW
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: running(site, Deploy.Phase.UPLOADING), "the upload runs")
    wait_until(lambda: temporary_files(site), "a file is under way")
    if whole:
        worker.kill()
    else:
        import os

        for pid in set(worker.members()) - {worker.process.pid}:
            os.kill(pid, signal.SIGKILL)
    stage.ftp.rate = 0
    stage.project.worker(beat=True)
    judge(stage)
    deploy = site.deploys.get()
    assert deploy.state == Deploy.State.SUCCEEDED
    assert deploy.crashes >= 1, "the death was not noticed"


def temporary_files(site: Site) -> list[Path]:
    return list(site.folder.rglob(".ftp-deploy-*"))


def test_a_deploy_that_kills_its_worker_is_parked_and_the_next_one_runs(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis", FTP_DEPLOY_LEASE_SECONDS=4, FTP_DEPLOY_HEARTBEAT_SECONDS=0.3)
    site = stage.add_site(combine_pushes=False)
    web = stage.project.web()
    poison = site.commit({"index.html": b"poison"})
    assert poison.deliver(web.url) == 202
    deadly = stage.project.worker(beat=True, FAILPOINT="rename:1")
    wait_until(lambda: site.deploys.get().state == Deploy.State.FAILED, "the deploy is parked")
    parked = site.deploys.get()
    assert (parked.crashes, parked.error_kind) == (3, "WorkerDied")
    assert deadly.runs, "the worker itself outlives its children"
    deadly.kill()
    stage.project.worker(beat=True)
    assert site.commit({"index.html": b"remedy"}).deliver(web.url) == 202
    judge(stage)


def test_a_frozen_worker_that_thaws_changes_nothing_any_more(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    web = stage.project.web()
    frozen = stage.project.worker()
    stage.ftp.rate = SLOW
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: running(site, Deploy.Phase.UPLOADING), "the upload runs")
    frozen.signal(signal.SIGSTOP, whole=True)
    stage.ftp.rate = 0
    assert site.commit({"index.html": b"newest", "file-00.bin": b"newer"}).deliver(web.url) == 202
    stage.project.worker(beat=True)
    stage.settle()
    frozen.signal(signal.SIGCONT, whole=True)
    wait_until(lambda: "another worker goes on" in frozen.log_text(), "the thawed worker notices")
    judge(stage)


@pytest.mark.parametrize("point", ["write:1", "commit:1"], ids=["before the commit", "before the wake"])
def test_a_web_server_that_dies_while_it_takes_a_push(point: str, open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    web = stage.project.web()
    assert site.commit({"index.html": b"one"}).deliver(web.url) == 202
    mortal = stage.project.web(FAILPOINT=point)
    push = site.commit({"index.html": b"two"})
    assert push.deliver(mortal.url) == 0
    wait_until(lambda: not mortal.runs, "the web server is dead")
    assert site.deploys.count() == 1 + (point == "commit:1")
    push.deliver_until_stored(web.url)
    stage.project.worker(beat=True)
    judge(stage)


def test_a_database_that_crashes_in_mid_deploy(open_stage: OpenStage, postgresql) -> None:
    stage = open_stage("postgresql-redis", FTP_DEPLOY_LEASE_SECONDS=30)
    site = stage.add_site()
    web = stage.project.web()
    stage.project.worker(beat=True)
    stage.ftp.rate = SLOW
    assert site.commit(BIG).deliver(web.url) == 202
    wait_until(lambda: running(site, Deploy.Phase.UPLOADING), "the upload runs")
    postgresql.crash()
    refused = site.commit({"index.html": b"two"})
    assert refused.deliver(web.url, timeout=30) == 503
    postgresql.start()
    refused.deliver_until_stored(web.url)
    stage.ftp.rate = 0
    judge(stage)
    first = site.deploys.first()
    assert first
    assert first.crashes == 0


def test_a_sqlite_lock_held_for_long_reaches_nobody(open_stage: OpenStage) -> None:
    import sqlite3
    import threading
    from urllib.parse import urlsplit

    stage = open_stage("sqlite-embedded")
    site = stage.add_site()
    web = stage.project.web()
    stage.project.worker(beat=True, pool="threads")
    held = sqlite3.connect(
        urlsplit(stage.project.database_url).path, timeout=30, isolation_level=None, check_same_thread=False
    )
    held.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(6, lambda: held.execute("ROLLBACK"))
    release.start()
    assert site.commit({"index.html": b"one"}).deliver(web.url, timeout=40) == 202
    release.join()
    held.close()
    judge(stage)


@pytest.mark.faults
def test_rolling_restarts_under_a_stream_of_pushes(open_stage: OpenStage) -> None:
    """Orchestrators stop with TERM and kill a little later."""
    stage = open_stage("postgresql-redis")
    sites = [stage.add_site() for _ in range(2)]
    web = stage.project.web()
    workers = [stage.project.worker(beat=number == 0, pool="threads") for number in range(2)]
    for turn in range(6):
        for site in sites:
            assert site.commit({"index.html": b"%d" % turn, f"a/{turn}": b"a" * 5000}).deliver(web.url) == 202
        stopped = workers.pop(0)
        stopped.signal(signal.SIGTERM)
        workers.append(stage.project.worker(beat=True, pool="threads"))
        stopped.kill()
    judge(stage)
