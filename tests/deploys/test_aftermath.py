"""After the switch: calls, the look at the site, and the way back. The runs are real, the server is in memory."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ftp_deploy.deploys import aftermath
from ftp_deploy.exceptions import WorkerStopping
from ftp_deploy.models import Deploy, Service
from tests.servers.http import Site, http_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Iterator[Site]:
    with http_site() as found:
        yield found


class Notes:
    """Keeps what a run would write."""

    def __init__(self, deploy: Deploy, guard: Callable[[], None]) -> None:
        self.deploy = deploy
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.phases: list[str] = []
        self.lease = SimpleNamespace(guard_files=guard)

    def enter(self, phase: str) -> None:
        self.phases.append(phase)

    def log(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def write(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.deploy, name, value)

    def flush(self) -> None:
        self.deploy.save()


def run(service: Service, guard: Callable[[], None] = lambda: None, **values: Any) -> Notes:
    service.save()
    deploy = Deploy.objects.create(service=service, after="b" * 40, commit="b" * 40, state="running", **values)
    notes = Notes(deploy, guard)
    aftermath.after_switch(notes, service)  # type: ignore[arg-type]
    return notes


def test_addresses_are_called_and_what_they_answer_is_written(service: Service, site: Site) -> None:
    site.answer = lambda asked: (200 if asked.path == "/purge?key=canary" else 500, {}, b"")
    service.after_urls = f"# the cache\n{site.url}/purge?key=canary\n\n{site.url}/warm\nhttp://127.0.0.1:1/x\n"
    notes = run(service)
    assert sorted(asked.path for asked in site.asked) == ["/purge?key=canary", "/warm"]
    assert notes.phases == ["checking"]
    assert "http://127.0.0.1/… answered 200" in notes.lines[0]
    assert "answered 500" in notes.warnings[0]
    assert "cannot be reached" in notes.warnings[1]
    assert "canary" not in str(notes.lines + notes.warnings)
    assert notes.deploy.healthy is None


def test_a_service_without_addresses_has_no_such_step(service: Service) -> None:
    assert run(service).phases == []


def test_a_stopping_worker_does_not_wait_for_a_site(service: Service, site: Site) -> None:
    stopped = threading.Event()

    def answer(_asked: Any) -> tuple[int, dict[str, str], bytes]:
        assert stopped.wait(60)
        return 200, {}, b""

    def stop() -> None:
        if site.asked:
            raise WorkerStopping

    site.answer = answer
    service.site_url, service.health_check = site.url, True
    notes = run(service, stop)
    stopped.set()
    assert "nobody knows whether the site is well" in notes.warnings[0]
    assert notes.deploy.healthy is None


def test_a_site_gets_a_second_chance(service: Service, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aftermath, "HEALTH_PAUSE", 0)
    site.answer = lambda _: (200 if len(site.asked) == 3 else 502, {}, b"")
    service.site_url, service.health_check = site.url, True
    notes = run(service)
    assert notes.deploy.healthy is True
    assert len(site.asked) == 3


def test_an_ill_site_marks_the_deploy(service: Service, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aftermath, "HEALTH_PAUSE", 0)
    site.answer = lambda _: (500, {}, b"")
    service.site_url, service.health_check = site.url, True
    notes = run(service)
    assert notes.deploy.healthy is False
    assert "the site is not well" in notes.deploy.error
    assert len(site.asked) == 3


@pytest.mark.parametrize(
    ("kind", "wanted", "waits", "back"),
    [
        ("push", True, False, True),
        ("push", False, False, False),
        ("rollback", True, False, False),
        ("push", True, True, False),
    ],
)
def test_the_way_back(service: Service, published: list[Any], kind: str, wanted: bool, waits: bool, back: bool) -> None:
    from django.utils import timezone

    service.roll_back_unhealthy = wanted
    service.save()
    for commit, healthy in (("1" * 40, True), ("2" * 40, False)):
        Deploy.objects.create(
            service=service, commit=commit, healthy=healthy, state="succeeded", finished_at=timezone.now()
        )
    ill = Deploy.objects.create(
        service=service, commit="b" * 40, kind=kind, healthy=False, state="succeeded", finished_at=timezone.now()
    )
    if waits:
        Deploy.objects.create(service=service, state="queued", after="c" * 40)
    made = aftermath.go_back(Notes(ill, lambda: None), service)  # type: ignore[arg-type]
    assert (made is not None) == back
    if made is not None:
        assert (made.kind, made.after) == ("rollback", "1" * 40)


def test_without_a_good_commit_there_is_no_way_back(service: Service) -> None:
    from django.utils import timezone

    service.roll_back_unhealthy = True
    ill = Deploy.objects.create(
        service=service, commit="b", healthy=False, state="succeeded", finished_at=timezone.now()
    )
    assert aftermath.go_back(Notes(ill, lambda: None), service) is None  # type: ignore[arg-type]
