"""Folders of fetches: removed when done, and after workers that died."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.repository import scratch
from ftp_deploy.repository.scratch import ScratchFolder, remove_abandoned

DIE = """
import os, sys
from ftp_deploy.repository.scratch import ScratchFolder
folder = ScratchFolder(sys.argv[1])
open(os.path.join(folder.path, "object"), "w").close()
print(folder.path, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def abandoned(tmp_path: Path) -> Path:
    """What a worker leaves that is killed in mid-fetch."""
    command = [sys.executable, "-c", DIE, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == -9, told.stderr
    return Path(told.stdout.strip())


def grow_old(folder: Path) -> None:
    os.utime(folder, (1, 1))


def test_it_is_gone_when_done(tmp_path: Path) -> None:
    folder = ScratchFolder(str(tmp_path))
    (Path(folder.path) / "object").write_bytes(b"x")
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_next_fetch_removes_what_a_dead_one_left(tmp_path: Path, abandoned: Path) -> None:
    assert (abandoned / "object").exists()
    grow_old(abandoned)
    folder = ScratchFolder(str(tmp_path))
    assert [str(path) for path in tmp_path.iterdir()] == [folder.path]
    folder.remove()


def test_folders_in_use_young_ones_and_others_stay(tmp_path: Path, abandoned: Path) -> None:
    used = ScratchFolder(str(tmp_path))
    grow_old(Path(used.path))
    other = tmp_path / "something-else"
    other.mkdir()
    grow_old(other)
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(other)
    assert remove_abandoned(str(tmp_path)) == 0
    assert {Path(used.path), abandoned, other} < set(tmp_path.iterdir())
    used.remove()


def test_where_folders_cannot_be_locked_a_fetch_works_and_none_is_removed(tmp_path: Path, monkeypatch: Any) -> None:
    """NFS locks no folder that is open for reading."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(scratch.fcntl, "flock", refuse)
    used = ScratchFolder(str(tmp_path))
    grow_old(Path(used.path))
    assert remove_abandoned(str(tmp_path)) == 0
    used.remove()
    assert list(tmp_path.iterdir()) == []
