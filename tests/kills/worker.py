"""The deploys of the kill runs, each in a process of its own that may be killed at any moment.

The processes are forked from one that has everything imported. They share a SQLite file with each other and nothing
with the test; the test reads that file itself.
"""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from benchmarks.link import inside  # noqa: E402
from ftp_deploy.deploys import fetch, journal, planning, queue, restore, runner, skips, wakeup  # noqa: E402
from ftp_deploy.deploys.manifest import Entry, Manifest  # noqa: E402
from ftp_deploy.deploys.recorder import Recorder  # noqa: E402
from ftp_deploy.models import Service  # noqa: E402
from ftp_deploy.providers.base import PushEvent  # noqa: E402
from ftp_deploy.repository.snapshot import Snapshot  # noqa: E402
from ftp_deploy.transports.base import Transport, Upload  # noqa: E402
from tests.deploys.trees import snapshot  # noqa: E402

Tree = Mapping[str, bytes]
PHASES = ("connecting", "uploading", "switching")
"""What a run is killed in; the index is what the run tells."""
LEASE_SECONDS = 600
"""Longer than any run: what is tried here is death, not starvation. The test ends the lease of a dead run itself."""


@dataclass(frozen=True)
class Job:
    """One deploy: ``live`` is on the server already, ``tree`` shall be. ``sent`` is a file for the names of uploads."""

    database: str
    target: Mapping[str, Any]
    live: Tree
    tree: Tree
    sent: str
    namespace: str = ""
    """The network namespace to live in; empty: that of the test."""


def set_up(database: str) -> None:
    """Let this process use the SQLite file, and let nothing out but the transfer."""
    connections.databases["default"]["NAME"] = database
    from django.conf import settings

    settings.FTP_DEPLOY_LEASE_SECONDS = LEASE_SECONDS
    settings.FTP_DEPLOY_CONNECT_TIMEOUT = 20.0
    settings.FTP_DEPLOY_REPLY_TIMEOUT = 10.0
    settings.FTP_DEPLOY_MAX_CRASHES = 1000
    wakeup.publisher.send = lambda *_args, **_options: True  # type: ignore[method-assign]


def migrate(database: str) -> None:
    """Make the tables."""
    set_up(database)
    call_command("migrate", verbosity=0)


def prepare(job: Job) -> None:
    """Store the service, the manifest of what is live, and the push."""
    set_up(job.database)
    service = Service.objects.create(
        provider="github", repository_name="site", repository_slug="owner/site", branch="main", **job.target
    )
    with snapshot(job.live, "old") as before, snapshot(job.tree, "new") as after:
        files = planning.plan_service(service, before, manifest=Manifest()).plan.changes
        stored = journal.stored_manifest(service.pk)
        stored.manifest = Manifest(
            {change.path: Entry(change.blob_id, change.mode, len(job.live[change.path])) for change in files}
        )
        stored.commit = before.commit
        stored.save()
        queue.record_push(service, "delivery", PushEvent("main", before.commit, after.commit))


def run(job: Job, phase: Any) -> None:
    """Deploy what waits. ``phase`` is a shared number: the place in ``PHASES`` that the run has come to."""
    set_up(job.database)

    def fetched(_service: Service, _commit: str = "") -> Snapshot:
        return snapshot(job.tree, "new")

    for module in (runner, restore, fetch, skips):
        module.fetch_service = fetched  # type: ignore[attr-defined]
    enter, enter_switch, upload_of = Recorder.enter, Recorder.enter_switch, Service.transport

    def told(self: Recorder, name: str) -> None:
        enter(self, name)
        if name in PHASES:
            phase.value = PHASES.index(name)

    def told_switch(self: Recorder) -> None:
        enter_switch(self)
        phase.value = PHASES.index("switching")

    def written(self: Service) -> Transport:
        transport = upload_of(self)
        upload = transport.upload

        def noted(uploads: Any, *further: Any) -> Any:
            with open(job.sent, "a") as names:
                names.writelines(f"{one.path}\n" for one in uploads if isinstance(one, Upload))
            return upload(uploads, *further)

        transport.upload = noted  # type: ignore[method-assign]
        return transport

    Recorder.enter = told  # type: ignore[method-assign]
    Recorder.enter_switch = told_switch  # type: ignore[method-assign]
    Service.transport = written  # type: ignore[method-assign]
    with inside(job.namespace) if job.namespace else nullcontext():
        runner.run_service(Service.objects.get().pk)
