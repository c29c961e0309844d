"""What people do: each action calls the core, is written down, and says what happened."""

import json

import pytest
from django.core import mail
from django.core.cache import cache
from django.urls import reverse

from ftp_deploy.models import Account, Address, AuditEntry, Change, Deploy, LogLine, Notification, Service
from tests.server import sample

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch):
    """Record the messages to workers instead of publishing them."""
    monkeypatch.setattr("ftp_deploy.tasks.send", lambda name, *ids, **_: True)
    monkeypatch.setattr("ftp_deploy.deploys.wakeup.publisher.send", lambda name, *ids, **_: True)


@pytest.fixture
def service():
    return Service.objects.create(
        repository_name="site",
        repository_slug="o/site",
        host="ftp.example.com",
        username="u",
        password="canary",
        path="/w",
    )


@pytest.fixture
def failed(service):
    return Deploy.objects.create(
        service=service, state="failed", after="b" * 40, branch="main", position=1, error="530 Login incorrect."
    )


@pytest.fixture
def mira(client):
    client.force_login(sample.add_admin())
    return client


def act(client, name: str, pk: int, **data):
    return client.post(reverse(f"ftpdeploy_{name}", args=[pk]), data, follow=True)


def said(response) -> str:
    return " ".join(str(message) for message in response.context["messages"])


@pytest.mark.parametrize(("data", "kind"), [({}, "manual"), ({"full": "1"}, "full")])
def test_deploy_now_queues_a_deploy_of_the_person(mira, service, data, kind):
    response = act(mira, "service_deploy", service.pk, **data)
    deploy = Deploy.objects.get()
    assert (deploy.kind, deploy.state, deploy.user_name) == (kind, "queued", "mira")
    assert "on its way" in said(response)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.user_name, entry.service, entry.detail["deploy"]) == (
        "deploy",
        "mira",
        service,
        deploy.pk,
    )


def test_a_refusal_of_the_core_is_said_in_words_and_not_written_down(mira, service):
    Service.objects.update(enabled=False)
    assert "turned off" in said(act(mira, "service_deploy", service.pk))
    assert not AuditEntry.objects.exists()


def test_restore_skip_retry_and_roll_back(mira, service, failed):
    act(mira, "service_restore_now", service.pk)
    assert Deploy.objects.get(kind="restore").after == failed.after
    act(mira, "deploy_retry", failed.pk)
    assert Deploy.objects.filter(kind="manual", after=failed.after).count() == 1
    act(mira, "service_rollback_now", service.pk, commit="c" * 40)
    assert Deploy.objects.get(kind="rollback").after == "c" * 40
    act(mira, "deploy_skip_now", failed.pk)
    failed.refresh_from_db()
    assert failed.state == "skipped"
    assert {entry.action for entry in AuditEntry.objects.all()} == {"restore", "retry", "roll back", "skip"}


def test_cancel_a_waiting_deploy(mira, service):
    waiting = Deploy.objects.create(service=service, state="queued", position=1)
    response = act(mira, "deploy_cancel", waiting.pk, next=reverse("ftpdeploy_log"))
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    assert response.redirect_chain[0][0] == reverse("ftpdeploy_log")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "http://testserver@evil.example/"])
def test_an_action_never_leads_away_from_the_site(mira, service, target):
    response = mira.post(reverse("ftpdeploy_service_deploy", args=[service.pk]), {"next": target})
    assert response.url == reverse("ftpdeploy_service_manage", args=[service.pk])


def test_the_delete_limit_is_asked_about(mira, service):
    stopped = Deploy.objects.create(service=service, state="failed", error_kind="TooManyDeletes", position=1)
    page = mira.get(reverse("ftpdeploy_deploy_detail", args=[stopped.pk])).content.decode()
    assert reverse("ftpdeploy_deploy_confirm", args=[stopped.pk]) in page
    act(mira, "deploy_confirm_now", stopped.pk)
    assert Deploy.objects.get(state="queued").confirmed_deletes


def test_the_notification_is_changed_in_place(mira, service):
    team = Notification.objects.create(name="Team")
    url = reverse("ftpdeploy_service_notification", args=[service.pk])
    assert "Team" in mira.get(url, headers={"HX-Request": "true"}).content.decode()
    mira.post(url, {"notification": team.pk}, headers={"HX-Request": "true"})
    service.refresh_from_db()
    assert service.notification == team
    mira.post(url, {"notification": ""})
    service.refresh_from_db()
    assert service.notification is None


def form_of(service: Service, **changes) -> dict[str, str]:
    from django.forms.models import model_to_dict

    from ftp_deploy.server.forms.service import ServiceForm

    values = model_to_dict(service, fields=ServiceForm.Meta.fields)
    kept = {name: value for name, value in values.items() if value not in (None, False, [])}
    return {**{name: "" if not isinstance(value, str | int) else str(value) for name, value in kept.items()}, **changes}


def test_a_service_is_added_and_its_name_comes_from_the_slug(mira):
    blank = form_of(Service(), host="ftp.example.com", username="u", repository_slug="o/site", password="canary")
    response = mira.post(reverse("ftpdeploy_service_add"), {**blank, "repository_name": ""})
    service = Service.objects.get()
    assert response.url == reverse("ftpdeploy_service_manage", args=[service.pk])
    assert service.repository_name == "site"
    assert service.password == "canary"
    assert "canary" not in json.dumps([entry.detail for entry in AuditEntry.objects.all()])


def test_an_empty_password_keeps_the_stored_one(mira, service):
    mira.post(reverse("ftpdeploy_service_edit", args=[service.pk]), form_of(service, password="", branch="live"))
    service = Service.objects.get()
    assert (service.branch, service.password) == ("live", "canary")


def test_a_changed_server_needs_the_password_again(mira, service):
    url = reverse("ftpdeploy_service_edit", args=[service.pk])
    page = mira.post(url, form_of(service, password="", host="evil.example")).content.decode()
    assert "enter the password or key again" in page
    assert Service.objects.get().host == "ftp.example.com"
    mira.post(url, form_of(service, password="other", host="new.example"))
    assert (Service.objects.get().host, Service.objects.get().password) == ("new.example", "other")


def test_the_stored_password_is_tried_only_on_its_own_server(service):
    from ftp_deploy.server.connection import target_of

    values = {"protocol": "ftp", "host": "ftp.example.com", "port": "", "username": "u", "path": "/"}
    assert target_of(values, service).password == "canary"
    for change in ({"host": "evil.example"}, {"username": "x"}, {"port": "2121"}, {"protocol": "sftp"}):
        assert target_of({**values, **change}, service).password == ""
    assert target_of({**values, "password": "typed"}, service).password == "typed"


def test_a_notification_is_saved_with_its_addresses(mira):
    table = {"addresses-TOTAL_FORMS": "2", "addresses-INITIAL_FORMS": "0", "addresses-0-email": "a@example.com"}
    table |= {"addresses-0-on_fail": "on", "addresses-1-email": ""}
    mira.post(reverse("ftpdeploy_notification_add"), {"name": "Team", "deploy_user_fail": "on", **table})
    notification = Notification.objects.get()
    assert notification.deploy_user_fail
    assert not notification.deploy_user_success
    assert list(notification.addresses.values_list("email", "on_success", "on_fail")) == [
        ("a@example.com", False, True)
    ]


def test_a_test_mail_is_sent(mira):
    notification = Notification.objects.create(name="Team")
    Address.objects.create(notification=notification, email="a@example.com")
    assert "a@example.com" in said(act(mira, "notification_test", notification.pk))
    assert mail.outbox[0].to == ["a@example.com"]


def test_an_account_in_use_is_not_deleted(mira, service):
    account = Account.objects.create(name="Studio", provider="github", token="canary")
    Service.objects.update(account=account)
    assert "Services use this account" in said(act(mira, "account_delete", account.pk))
    assert Account.objects.exists()


def test_a_stored_token_is_not_sent_to_another_forge(mira):
    account = Account.objects.create(name="Studio", provider="gitlab", token="canary", url="https://git.example.com")
    url = reverse("ftpdeploy_account_edit", args=[account.pk])
    page = mira.post(url, {"name": "Studio", "provider": "gitlab", "url": "https://evil.example"})
    assert "enter the token again" in page.content.decode()
    mira.post(url, {"name": "Atelier", "provider": "gitlab", "url": "https://git.example.com"})
    account.refresh_from_db()
    assert (account.name, account.token) == ("Atelier", "canary")


def test_live_answers_are_small_and_change_their_tag(mira, service, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr("ftp_deploy.server.live.KEPT", 60)
    monkeypatch.setattr("ftp_deploy.server.live.TRUSTED", 60)
    deploy = Deploy.objects.create(service=service, state="running", phase="uploading", position=1, files_total=9)
    url = reverse("ftpdeploy_deploy_live", args=[deploy.pk])
    with django_assert_max_num_queries(6):
        first = mira.get(url)
    assert len(first.content) < 700
    tag = first.headers["ETag"]
    assert mira.get(url, headers={"If-None-Match": tag}).status_code == 304
    Deploy.objects.update(files_done=4)
    with django_assert_max_num_queries(2):  # those of LoginRequiredMiddleware
        assert mira.get(url).headers["ETag"] == tag
    cache.clear()
    second = mira.get(url, headers={"If-None-Match": tag})
    assert second.json()["progress"][str(service.pk)]["files_done"] == 4
    assert second.json()["version"] == first.json()["version"]
    Deploy.objects.update(state="succeeded")
    cache.clear()
    assert mira.get(url).json()["version"] != first.json()["version"]
    for name, arguments in (("service_live", [service.pk]), ("dashboard_live", [])):
        response = mira.get(reverse(f"ftpdeploy_{name}", args=arguments) + f"?ids={service.pk},x,999999999999999999999")
        again = mira.get(response.wsgi_request.get_full_path(), headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304


def test_the_log_is_sent_by_offset_and_downloaded_whole(mira, service, failed):
    sample.add_log(failed, 4500)
    url = reverse("ftpdeploy_deploy_live", args=[failed.pk])
    texts, after = [], 0
    for _ in range(4):
        news = mira.get(f"{url}?after={after}").json()
        texts += [line[2] for line in news["lines"]]
        after = news["after"]
    assert texts == list(LogLine.objects.order_by("pk").values_list("text", flat=True))
    whole = b"".join(mira.get(reverse("ftpdeploy_deploy_log", args=[failed.pk])).streaming_content).decode()
    assert whole.count("\n") == 4500
    page = mira.get(reverse("ftpdeploy_deploy_detail", args=[failed.pk])).content
    assert len(page) < 100_000


def test_the_csv_holds_no_formula(mira, service, failed):
    Deploy.objects.update(user_name='=HYPERLINK("http://evil.example")', error="two\nlines")
    text = b"".join(mira.get(reverse("ftpdeploy_log_csv")).streaming_content).decode()
    assert "\"'=HYPERLINK" in text
    assert mira.get(reverse("ftpdeploy_log_csv") + "?since=0000-99-99&service=x&before=9e9").status_code == 200


def test_files_are_searched(mira, failed):
    Change.objects.bulk_create(Change(deploy=failed, path=f"img/{n}.png", action="add") for n in range(250))
    page = mira.get(reverse("ftpdeploy_deploy_detail", args=[failed.pk]) + "?file=img/24").content.decode()
    assert page.count("<code>img/") == 11


def test_the_log_pages_forth_and_back(mira, service):
    Deploy.objects.bulk_create(Deploy(service=service, state="succeeded", position=n, user_name="u") for n in range(60))
    url = reverse("ftpdeploy_log")
    first = mira.get(url)
    second = mira.get(f"{url}?before={first.context['older']}")
    third = mira.get(f"{url}?before={second.context['older']}")
    assert [len(page.context["entries"]) for page in (first, second, third)] == [25, 25, 10]
    assert third.context["older"] is None
    back = mira.get(f"{url}?after={third.context['newer']}")
    assert [deploy.pk for deploy in back.context["entries"]] == [deploy.pk for deploy in second.context["entries"]]


def test_trying_a_server_and_looking_at_its_folders(mira):
    from ftp_deploy.transports import memory

    values = {"protocol": "memory", "host": "h", "username": "u", "password": "p", "path": "/"}
    page = mira.post(reverse("ftpdeploy_test_connection"), values).content.decode()
    assert "The connection works" in page
    assert memory
    assert "Folders in /" in mira.post(reverse("ftpdeploy_browse"), values).content.decode()
    refused = mira.post(
        reverse("ftpdeploy_test_connection"), {**values, "protocol": "ftp", "host": "127.0.0.1", "port": "9"}
    )
    assert "alert-danger" in refused.content.decode()


def test_verify_compares_with_the_manifest(mira, service):
    Service.objects.update(protocol="memory")
    url = reverse("ftpdeploy_service_verify", args=[service.pk])
    assert "0 files are as they were deployed" in mira.post(url).content.decode()


def test_who_was_let_in_is_not_trusted_for_anything_else(mira, client, service, failed):
    url = reverse("ftpdeploy_deploy_live", args=[failed.pk])
    assert mira.get(url).status_code == 200
    other = Deploy.objects.create(service=service, state="failed", position=2)
    stranger = client.__class__()
    assert stranger.get(url).status_code == 302
    stranger.cookies["sessionid"] = "made-up"
    assert stranger.get(url).status_code == 302
    assert mira.get(reverse("ftpdeploy_deploy_live", args=[other.pk])).status_code == 200
    mira.logout()
    assert mira.get(url).status_code == 302


@pytest.mark.parametrize("phase", Deploy.Phase.values)
def test_every_phase_has_a_page(mira, service, phase):
    deploy = Deploy.objects.create(service=service, state="running", phase=phase, position=1)
    cache.clear()
    for name, pk in (("deploy_detail", deploy.pk), ("deploy_live", deploy.pk), ("service_manage", service.pk)):
        assert mira.get(reverse(f"ftpdeploy_{name}", args=[pk])).status_code == 200
