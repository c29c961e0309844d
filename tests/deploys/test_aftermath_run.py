"""Whole runs with calls and a look at the site: the deploy is marked, told of, and rolled back."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail

from ftp_deploy import notifications
from ftp_deploy.deploys import aftermath, runner
from ftp_deploy.models import Deploy, Service
from tests.deploys.runs import SITE, Origin, live
from tests.factories import make_notification
from tests.servers.http import Site, http_site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site() -> Iterator[Site]:
    with http_site() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(aftermath, "HEALTH_PAUSE", 0)
    settings.FTP_DEPLOY_COMMIT_STATUS = False


def test_a_site_that_falls_ill_gets_its_last_good_commit_back(
    service: Service,
    origin: Origin,
    server: Any,
    site: Site,
) -> None:
    service.notification = make_notification(("a@example.com", False, True))
    service.after_urls = f"{site.url}/purge"
    service.site_url, service.health_check, service.roll_back_unhealthy = f"{site.url}/", True, True
    service.save()
    first = origin.push(SITE)
    runner.run_service(service.pk)
    good = origin.head
    assert [asked.path for asked in site.asked] == ["/purge", "/"]

    def answer(asked: Any) -> tuple[int, dict[str, str], bytes]:
        broken = live(server)["index.html"] == b"broken"
        return (500 if broken and asked.path == "/" else 200, {}, b"")

    site.answer = answer
    origin.push({**SITE, "index.html": b"broken"})
    assert runner.run_service(service.pk) == 2
    ill, back = Deploy.objects.filter(pk__gt=first.pk).order_by("pk")
    assert (ill.state, ill.healthy, ill.error_kind) == ("succeeded", False, "SiteUnhealthy")
    assert "answered 500" in ill.error
    assert "checking" in ill.steps
    assert (back.kind, back.state, back.commit, back.healthy) == ("rollback", "succeeded", good, True)
    assert live(server)["index.html"] == b"one"
    lines = list(ill.log_lines.values_list("level", "text"))
    assert any(level == "warning" and "the site is not well" in text for level, text in lines)
    assert any("answered 200" in text for _, text in lines)
    notifications.deliver_due()
    assert [sent.subject for sent in mail.outbox] == [
        "site (main): the site is not well",
        "site (main): works again, deploy succeeded",
    ]


def test_a_site_that_stays_ill_is_not_rolled_back_for_ever(
    service: Service,
    origin: Origin,
    server: Any,
    site: Site,
) -> None:
    service.site_url, service.health_check, service.roll_back_unhealthy = site.url, True, True
    service.save()
    origin.push(SITE)
    runner.run_service(service.pk)
    site.answer = lambda _: (503, {}, b"")
    origin.push({**SITE, "index.html": b"two"})
    assert runner.run_service(service.pk) == 2
    assert [deploy.healthy for deploy in Deploy.objects.order_by("pk")] == [True, False, False]


def test_a_call_that_fails_does_not_fail_the_deploy(
    service: Service,
    origin: Origin,
    server: Any,
) -> None:
    service.after_urls = "http://127.0.0.1:1/purge?key=canary"
    service.save()
    deploy = origin.push(SITE)
    runner.run_service(service.pk)
    deploy.refresh_from_db()
    assert deploy.state == "succeeded"
    assert "Calling http://127.0.0.1/… failed" in deploy.warnings[0]
    assert "canary" not in str(list(deploy.log_lines.values_list("text", flat=True))) + str(deploy.warnings)
