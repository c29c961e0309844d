"""Every page answers, within few queries, with the security headers, and only to those who may."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

import ftp_deploy
from ftp_deploy import deeds
from ftp_deploy.models import Account, AuditEntry, Deploy, Heartbeat, Notification, Service
from ftp_deploy.server import urls
from tests.server import sample

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


QUERIES = 15
OPEN = {"ftpdeploy_login", "ftpdeploy_logout"}


@pytest.fixture
def services():
    return sample.fill(days=4)


@pytest.fixture
def operator(client):
    client.force_login(sample.add_admin())
    return client


def pages() -> dict[str, list]:
    service = Service.objects.get(repository_name="law-office")
    running = Deploy.objects.get(state="running")
    failed = Deploy.objects.failed().first()
    notification = Notification.objects.first()
    account = Account.objects.first()
    arguments = {"service": service.pk, "deploy": failed.pk, "notification": notification.pk, "account": account.pk}
    found = {}
    for pattern in urls.urlpatterns:
        kinds = re.findall(r"<(\w+):(\w+)>", str(pattern.pattern))
        room = pattern.name.split("_")[1]
        values = [arguments.get(room.rstrip("s"))] if kinds else []
        if len(kinds) > 1:
            values.append("a" * 40)
        found[pattern.name] = values
    found["ftpdeploy_deploy_live"] = [running.pk]
    return found


def readable() -> list[str]:
    """Names of the pages that answer a GET without a server or a forge."""
    asking = {"restore", "full", "rollback", "source", "check", "hook", "deploy", "now", "try", "test", "logout"}
    asking |= {"cancel", "retry", "confirm", "browse", "preview", "connection", "fingerprint", "switch"}
    return [p.name for p in urls.urlpatterns if p.name.split("_")[-1] not in asking and "source" not in p.name]


def test_every_page_answers_within_few_queries(operator, services, django_assert_max_num_queries):
    for name in readable():
        url = reverse(name, args=pages()[name])
        with django_assert_max_num_queries(QUERIES, info=name):
            response = operator.get(url)
        assert response.status_code == 200, name
        assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
        if not response.streaming:
            check_source(name, response.content.decode())


def check_source(name: str, text: str) -> None:
    assert len(text) < 100_000, name
    assert " style=" not in text, name
    assert not re.search(r"<script(?![^>]*(src=|application/json))", text), name
    assert "sample-password" not in text, name
    assert "sample-token" not in text, name


def test_strangers_are_sent_to_the_login(client, services):
    addresses = pages()
    for name in set(addresses) - OPEN:
        for method in ("get", "post"):
            response = getattr(client, method)(reverse(name, args=addresses[name]))
            assert response.status_code == 302, (name, method)
            assert response.url.startswith(reverse("ftpdeploy_login")), (name, method)


def test_a_part_of_a_page_leads_the_whole_page_to_the_login(client, services):
    url = reverse("ftpdeploy_dashboard")
    response = client.get(url, headers={"HX-Request": "true", "HX-Current-URL": "https://testserver/x/?text=a"})
    assert response.status_code == 204
    assert response.headers["HX-Redirect"] == reverse("ftpdeploy_login") + "?next=%2Fx%2F%3Ftext%3Da"


def test_log_in_change_the_password_log_out(client, db):
    sample.add_admin()
    shown = reverse("ftpdeploy_log") + "?fails=1"
    login = client.get(shown).url
    assert client.post(login, {"username": "operator", "password": "wrong"}).status_code == 200
    assert client.post(login, {"username": "operator", "password": "sample", "next": shown}).url == shown
    change = {"old_password": "sample", "new_password1": "another-long-one", "new_password2": "another-long-one"}
    answer = client.post(reverse("ftpdeploy_password_change"), change, follow=True)
    assert "Your password is changed." in answer.content.decode()
    assert client.get(reverse("ftpdeploy_logout")).status_code == 405
    assert client.post(reverse("ftpdeploy_logout")).url == reverse("ftpdeploy_login")
    assert client.get(shown).status_code == 302
    outside = {"username": "operator", "password": "another-long-one", "next": "https://evil.example/"}
    assert client.post(reverse("ftpdeploy_login"), outside).url == reverse("ftpdeploy_dashboard")


def test_commits_lead_to_the_forge_and_the_count_opens_them(operator, services):
    deploy = Deploy.objects.filter(state="succeeded").latest("pk")
    commit = deploy.commits[0]
    link = f'href="{commit["url"]}" rel="noopener noreferrer"'
    assert link in operator.get(reverse("ftpdeploy_deploy_detail", args=[deploy.pk])).content.decode()
    for url in (reverse("ftpdeploy_log"), reverse("ftpdeploy_service_manage", args=[deploy.service_id])):
        page = operator.get(url).content.decode()
        shown = page[page.index(f'id="commits-{deploy.pk}"') :].partition("</details>")[0]
        assert f">{len(deploy.commits)}</span>" in shown
        assert link in shown
        assert commit["author_name"] in shown
        assert commit["message"] in shown


def test_people_without_permission_are_refused(client, services):
    client.force_login(User.objects.create_user("nobody"))
    addresses = pages()
    for name in set(addresses) - OPEN - {"ftpdeploy_password_change"}:
        assert client.get(reverse(name, args=addresses[name])).status_code == 403, name
        assert client.post(reverse(name, args=addresses[name])).status_code == 403, name


def test_a_viewer_sees_but_cannot_act(client, services):
    viewer = User.objects.create_user("viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_service"))
    client.force_login(viewer)
    page = client.get(reverse("ftpdeploy_service_manage", args=[services[4].pk])).content.decode()
    assert "Deploy now" not in page
    assert "Skip" not in page.split("<main")[1].replace("Skipped", "")
    before = Deploy.objects.count()
    for name in ("deploy", "restore_now", "check", "hook", "keys_now", "rollback_now"):
        assert client.post(reverse(f"ftpdeploy_service_{name}", args=[services[4].pk])).status_code == 403
    assert Deploy.objects.count() == before


def test_actions_refuse_get(operator, services):
    assert operator.get(reverse("ftpdeploy_service_deploy", args=[services[0].pk])).status_code == 405
    assert operator.get(reverse("ftpdeploy_service_restore_now", args=[services[0].pk])).status_code == 405


def test_failing_services_come_first_then_the_last_active(operator, services):
    page = operator.get(reverse("ftpdeploy_dashboard")).content.decode()
    order = re.findall(r'id="service-(\d+)"', page)
    names = [Service.objects.get(pk=pk).repository_name for pk in order]
    assert set(names[:2]) == {"law-office", "festival-2026"}
    assert names[2] == "northwind-shop"
    assert names[-1] == "documentation"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("text=harbour", {"harbour-bakery"}),
        ("text=museum+production", set()),
        ("state=failing", {"law-office", "festival-2026"}),
        ("state=running", {"northwind-shop"}),
        ("state=unchecked", {"documentation"}),
        ("provider=gitea", {"choir-website"}),
    ],
)
def test_the_dashboard_is_filtered(operator, services, query, names):
    page = operator.get(reverse("ftpdeploy_dashboard") + "?" + query).content.decode()
    found = {Service.objects.get(pk=pk).repository_name for pk in re.findall(r'id="service-(\d+)"', page)}
    assert found == names


def test_a_failed_roll_back_is_listed_but_not_restorable(operator, services):
    Deploy.objects.filter(service=services[4], state="failed").update(kind="rollback")
    page = operator.get(reverse("ftpdeploy_service_manage", args=[services[4].pk])).content.decode()
    assert page.count('id="failed-') == 3
    assert reverse("ftpdeploy_service_restore", args=[services[4].pk]) not in page
    assert (
        '<a class="btn btn-sm btn-quiet" href="'
        + reverse("ftpdeploy_deploy_skip", args=[Deploy.objects.failed().filter(service=services[4]).first().pk])
        in page
    )


def test_a_page_is_not_shown_for_a_part_of_it(operator, services):
    response = operator.get(reverse("ftpdeploy_log"))
    assert {"HX-Target", "HX-Request"} <= {name.strip() for name in response.headers["Vary"].split(",")}
    assert response.headers["Cache-Control"] == "private, no-cache"
    part = operator.get(reverse("ftpdeploy_log") + "?user=editor", headers={"HX-Target": "entries"}).content.decode()
    assert "<html" not in part
    assert 'hx-swap-oob="true"' in part
    assert reverse("ftpdeploy_log_csv") + "?user=editor" in part


def test_the_audit_log_speaks_like_people(operator, services):
    deploy = Deploy.objects.latest("pk")
    for action, detail in (
        ("deploy", {"deploy": deploy.pk, "full": False}),
        ("edit service", {"fields": ["password", "first_deploy", "gone_field"]}),
        ("something new", {"full": True, "to": ""}),
    ):
        AuditEntry.objects.create(action=action, user_name="editor", subject="site (main)", detail=detail)
    page = operator.get(reverse("ftpdeploy_audit")).content.decode()
    assert f'{reverse("ftpdeploy_deploy_detail", args=[deploy.pk])}">#{deploy.pk}</a>' in page
    assert "Fields: password, first deploy, gone_field" in page
    assert "· Every file</span>" in page
    for words in ("something new", "Edit service"):
        assert f">{words}</td>" in page
    for words in ("False", "True", "[&#x27;", "· To"):
        assert words not in page


def test_every_action_that_is_written_down_has_words():
    package = Path(ftp_deploy.__file__).parent
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))
    written = set(re.findall(r'audit\.record\([^,]+, "([^"]+)"', source))
    written |= set(re.findall(r'^    action = "([^"]+)"', source, re.MULTILINE))
    written |= set(re.findall(r'\beach\(\s*request, \w+,\s+"([^"]+)"', source))
    assert {"verify", "roll back", "accept fingerprint", "try account"} <= written
    assert written - set(deeds.ACTIONS) == set()


def test_a_login_in_the_settings_is_the_first_step(operator, settings):
    assert 'class="done"' not in operator.get(reverse("ftpdeploy_dashboard")).content.decode()
    settings.DEPLOY_GITHUB_SETTINGS = {"username": "studio", "password": "token"}
    assert 'class="done"' in operator.get(reverse("ftpdeploy_dashboard")).content.decode()


def test_a_newcomer_is_led_to_the_first_deploy(operator):
    page = operator.get(reverse("ftpdeploy_dashboard")).content.decode()
    assert reverse("ftpdeploy_account_add") in page
    assert reverse("ftpdeploy_service_add") in page
    for name in ("log", "audit", "statistics", "notifications", "accounts"):
        assert 'class="empty"' in operator.get(reverse(f"ftpdeploy_{name}")).content.decode()


def test_times_are_those_of_the_viewer(operator, services):
    deploy = Deploy.objects.filter(state="succeeded").first()
    Deploy.objects.filter(pk=deploy.pk).update(created_at="2026-01-15T23:30:00Z")
    url = reverse("ftpdeploy_deploy_detail", args=[deploy.pk])
    operator.cookies["ftpdeploy_zone"] = "Asia/Tokyo"
    assert "Jan. 16, 2026, 8:30 a.m. JST" in operator.get(url).content.decode()
    operator.cookies["ftpdeploy_zone"] = "../../etc/passwd"
    assert "Jan. 15, 2026, 11:30 p.m. UTC" in operator.get(url).content.decode()


@pytest.mark.parametrize(
    ("waited", "swept", "said"), [(60, None, True), (60, 300, True), (60, 5, False), (5, None, False)]
)
def test_a_deploy_that_waits_while_no_worker_is_seen_says_so(operator, services, waited, swept, said):
    now = timezone.now()
    service = Service.objects.get(repository_name="documentation")
    deploy = Deploy.objects.create(service=service, state="queued", position=1)
    Deploy.objects.filter(pk=deploy.pk).update(created_at=now - timedelta(seconds=waited))
    Heartbeat.objects.all().delete()
    if swept is not None:
        Heartbeat.objects.create(name="sweep", at=now - timedelta(seconds=swept))
    for address in (
        reverse("ftpdeploy_deploy_detail", args=[deploy.pk]),
        reverse("ftpdeploy_service_manage", args=[service.pk]),
    ):
        assert ("No worker has been seen lately" in operator.get(address).content.decode()) is said


def test_a_set_of_channels_alone_shows_them_without_their_tokens(operator, settings):
    Notification.objects.create(
        name="chat",
        channels="discord://1/canary-token",
        channels_success=False,
        webhook_url="https://hooks.example/canary",
    )
    address = reverse("ftpdeploy_notifications")
    page = operator.get(address).content.decode()
    assert page.count("discord://…") == page.count("https://hooks.example/…") == 1
    assert "canary" not in page
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = ["A" * 43 + "="]
    page = operator.get(address).content.decode()
    assert "<strong>chat</strong>" in page
    assert "discord" not in page
