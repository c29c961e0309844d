"""The demo as its users run it: the whole way, with a repository of one's own, and stopped in every way."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dulwich import porcelain

from ftp_deploy.standalone.demo.compare import compare
from ftp_deploy.standalone.processes import ftp_deploy_command
from tests.standalone.processes import clean_environment, marked, spawn, until

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SECONDS = 240.0
"""A generous limit for the whole demo on a busy machine."""


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> Iterator[str]:
    """A word in the environment of the demo and of all its processes; none of them is left afterwards."""
    word = f"{request.node.name}-{os.getpid()}"
    yield word
    left = marked(word)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.fixture
def start(tmp_path: Path, mark: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        command = ftp_deploy_command("demo", "--folder", str(tmp_path / "demo"), *arguments)
        process = spawn(command, clean_environment(tmp_path / "unused", DEMO_MARK=mark), tmp_path / "output")
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_once_tells_the_whole_story(start, tmp_path) -> None:
    process = start("--once")
    assert process.wait(SECONDS) == 0, (tmp_path / "output").read_text()
    told = (tmp_path / "output").read_text()
    assert told.count("byte for byte") == 5
    assert "29 files read back" in told
    assert "530" in told
    assert told.rstrip().endswith("Every check passed.")
    assert not (tmp_path / "unused").exists()


def test_a_repository_of_one_s_own(start, tmp_path) -> None:
    own = tmp_path / "own"
    porcelain.init(str(own)).close()
    (own / "docs").mkdir()
    (own / "docs" / "a.txt").write_text("a")
    (own / "b.bin").write_bytes(bytes(range(256)) * 100)
    porcelain.add(str(own), [str(own / "docs" / "a.txt"), str(own / "b.bin")])
    porcelain.commit(str(own), b"mine", author=b"A <a@example.com>", committer=b"A <a@example.com>")
    process = start("--once", "--repo", str(own))
    assert process.wait(SECONDS) == 0, (tmp_path / "output").read_text()
    assert "2 files read back" in (tmp_path / "output").read_text()


def test_a_repository_that_is_not_there_is_said_so(start, tmp_path) -> None:
    process = start("--once", "--repo", str(tmp_path / "none"))
    assert process.wait(SECONDS) == 1
    assert "none cannot be copied" in (tmp_path / "output").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_it(start, mark, tmp_path, number) -> None:
    process = start()
    output = tmp_path / "output"
    assert until(lambda: "Ctrl-C stops everything" in output.read_text()), output.read_text()
    told = output.read_text()
    for name in ("dashboard", "admin", "login", "live site", "FTP", "forge", "files"):
        assert re.search(rf"^  {name} ", told, re.MULTILINE)
    assert len(marked(mark)) >= 5
    process.send_signal(number)
    assert process.wait(60) == (0 if number != signal.SIGKILL else -9)
    assert until(lambda: not marked(mark), 60), [Path(f"/proc/{pid}/cmdline").read_text() for pid in marked(mark)]


def test_a_folder_with_something_in_it_is_left_alone(start, tmp_path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine").write_text("")
    assert start("--once").wait(SECONDS) == 2
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["mine"]


def test_the_judge_sees_every_kind_of_difference() -> None:
    git = {"same": b"1", "changed": b"1", "missing": b"1"}
    server = {"same": b"1", "changed": b"2", "surplus": b"1"}
    found = compare(git, server)
    assert found
    assert (found.missing, found.surplus, found.different) == (("missing",), ("surplus",), ("changed",))
    assert "surplus" in str(found)
    assert not compare(git, dict(git))
