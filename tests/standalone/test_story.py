"""The judge of the demo: it waits out a probe file, and nothing else."""

import ftplib
from types import SimpleNamespace

import pytest

from ftp_deploy.models import Change, Deploy
from ftp_deploy.models.deploy import DeployState
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


@pytest.mark.django_db
def test_an_outcome_that_was_not_expected_is_told(service) -> None:
    telling = object.__new__(story.Story)
    deploy = Deploy.objects.create(
        service=service, state=DeployState.FAILED, error="530 Login incorrect.", advice="Look at the password."
    )
    with pytest.raises(DemoFailed, match=r"is failed, not succeeded: 530 Login incorrect\. Look at the password\."):
        telling.expect(deploy, DeployState.SUCCEEDED)
    Change.objects.create(deploy=deploy, path="a", action="add")
    with pytest.raises(DemoFailed, match="has 1 files to add, not 2"):
        telling.expect(deploy, DeployState.FAILED, add=2)
    telling.expect(deploy, DeployState.FAILED, add=1, delete=0)


@pytest.mark.django_db
def test_an_error_that_shows_a_password_fails_the_demo(service) -> None:
    telling = object.__new__(story.Story)
    telling.service, telling.say = service, lambda text: None
    telling.stage = SimpleNamespace(ftp_password="new-word", change_ftp_password=lambda word: None)
    failed = Deploy.objects.create(service=service, state=DeployState.FAILED, error=f"PASS {service.password}: 530")
    telling.push = lambda files, message: failed
    with pytest.raises(DemoFailed, match="shows a password"):
        telling.fail_and_restore()
