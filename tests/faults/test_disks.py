"""Disks that are full: of the database, of the embedded broker, of the folder in which a deploy keeps its files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connections

from ftp_deploy.models import Deploy
from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.servers.programs import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

MEGABYTE = 1024 * 1024


class Disk:
    """A small file system."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / "filler"

    def take_in(self, *paths: Path) -> None:
        """Move files and folders here, and leave links in their places."""
        for path in paths:
            shutil.move(path, self.place / path.name)
            path.symlink_to(self.place / path.name)

    def fill(self, left: int = 0) -> None:
        """Leave so many bytes free, at most."""
        with self._filler.open("ab", buffering=0) as filler:
            space = os.statvfs(self.place)
            for size in (MEGABYTE, 4096, 1):
                while (space := os.statvfs(self.place)).f_bavail * space.f_frsize - left >= size:
                    try:
                        filler.write(bytes(size))
                    except OSError:
                        break

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small file system needs root")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_under_the_database_is_no_2xx(open_stage: OpenStage) -> None:
    """Each push is stored or refused with 503; refused ones are stored when they are sent again."""
    stage = open_stage("sqlite-embedded")
    site = stage.add_site()
    project = stage.project
    connections[stage.alias].close()  # SQLite then has one file
    with small_disk(project.folder / "disk", 16) as disk:
        disk.take_in(project.folder / "broker", project.folder / "project.sqlite3")
        web = project.web()
        assert site.commit({"index.html": b"before"}).deliver(web.url, timeout=60) == 202
        disk.fill()
        pushes = [site.commit({"index.html": b"%d" % number, "page": b"x" * number}) for number in range(40)]
        answers = [push.deliver(web.url, timeout=60) for push in pushes]
        assert set(answers) <= {202, 503}
        assert 503 in answers
        stored = site.deploys.count()
        assert stored == 1 + answers.count(202)
        disk.free()
        for push in pushes:
            push.deliver_until_stored(web.url)
        project.worker(beat=True)
        judge(stage)
        project.stop_processes()


def test_a_full_disk_under_a_running_deploy(open_stage: OpenStage) -> None:
    """The deploy says what is wrong, is tried again, and goes live once there is room."""
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    project = stage.project
    with small_disk(project.folder / "disk", 4) as disk:
        disk.take_in(project.folder / "spool")
        disk.fill(left=100_000)
        web = project.web()
        project.worker(beat=True)
        assert site.commit({f"{number}.bin": os.urandom(200_000) for number in range(8)}).deliver(web.url) == 202
        wait_until(lambda: site.deploys.get().error, "the deploy says what is wrong")
        waiting = site.deploys.get()
        assert waiting.state in (Deploy.State.QUEUED, Deploy.State.RUNNING)
        assert "disk" in waiting.error
        disk.free()
        judge(stage)
        assert not list((disk.place / "spool").iterdir()), "a deploy leaves nothing in its folder"
        project.stop_processes()
