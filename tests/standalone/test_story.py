"""The judge of the demo: it waits out a probe file, and nothing else."""

import ftplib
from types import SimpleNamespace

import pytest

from ftp_deploy.standalone.demo import story
from ftp_deploy.standalone.demo.stage import DemoFailed

PROBE = ".ftp-deploy-probe-1-1"
SITE = {"index.html": b"<h1>Hello</h1>"}
DEPLOY = SimpleNamespace(commit="f" * 40, duration=None, files_done=1)


def judge(monkeypatch: pytest.MonkeyPatch, *readings: dict[str, bytes] | Exception) -> list[str]:
    """Let the judge look at a server that answers with these readings, the last one again and again."""
    told: list[str] = []
    left = list(readings)

    def served_files(*address: object) -> dict[str, bytes]:
        reading = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reading, Exception):
            raise reading
        return reading

    monkeypatch.setattr(story, "committed_files", lambda *repository: SITE)
    monkeypatch.setattr(story, "served_files", served_files)
    telling = object.__new__(story.Story)
    telling.stage = SimpleNamespace(ports={"ftp": 0}, ftp_password="secret", bare_repository="")
    telling.say = told.append
    telling.check(DEPLOY, "the whole site")
    return told


def test_a_probe_file_comes_and_goes(monkeypatch) -> None:
    gone = ftplib.error_perm("550 No such file or directory.")  # noqa: S321 - an error alone, no connection
    told = judge(monkeypatch, gone, SITE | {PROBE: b"x"}, SITE)
    assert told[0].startswith("the whole site: 1 files")


@pytest.mark.parametrize("reading", [{}, SITE | {PROBE: b"x"}, {"index.html": b""}])
def test_what_stays_different_is_told(monkeypatch, reading) -> None:
    monkeypatch.setattr(story, "SETTLE_SECONDS", 0.0)
    with pytest.raises(DemoFailed, match="the server differs from ffffffffff"):
        judge(monkeypatch, reading)
