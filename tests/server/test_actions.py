"""What people do: each action calls the core, is written down, and says what happened."""

import json

import pytest
from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.cache import cache
from django.urls import reverse
from django.utils.text import capfirst

from ftp_deploy.access import VIEWERS
from ftp_deploy.exceptions import RepositoryUnavailable
from ftp_deploy.models import Account, Address, AuditEntry, Change, Deploy, LogLine, Notification, Service
from ftp_deploy.server import live
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
def operator(client):
    client.force_login(sample.add_admin())
    return client


def act(client, name: str, pk: int, **data):
    return client.post(reverse(f"ftpdeploy_{name}", args=[pk]), data, follow=True)


def said(response) -> str:
    return " ".join(str(message) for message in response.context["messages"])


@pytest.mark.parametrize(("data", "kind"), [({}, "manual"), ({"full": "1"}, "full")])
def test_deploy_now_queues_a_deploy_of_the_person(operator, service, data, kind):
    response = act(operator, "service_deploy", service.pk, **data)
    deploy = Deploy.objects.get()
    assert (deploy.kind, deploy.state, deploy.user_name) == (kind, "queued", "operator")
    assert "on its way" in said(response)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.user_name, entry.service, entry.detail["deploy"]) == (
        "deploy",
        "operator",
        service,
        deploy.pk,
    )


def test_a_refusal_of_the_core_is_said_in_words_and_not_written_down(operator, service):
    Service.objects.update(enabled=False)
    assert "turned off" in said(act(operator, "service_deploy", service.pk))
    assert not AuditEntry.objects.exists()


def test_restore_skip_retry_and_roll_back(operator, service, failed):
    act(operator, "service_restore_now", service.pk)
    assert Deploy.objects.get(kind="restore").after == failed.after
    act(operator, "deploy_retry", failed.pk)
    assert Deploy.objects.filter(kind="manual", after=failed.after).count() == 1
    act(operator, "service_rollback_now", service.pk, commit="c" * 40)
    assert Deploy.objects.get(kind="rollback").after == "c" * 40
    act(operator, "deploy_skip_now", failed.pk)
    failed.refresh_from_db()
    assert failed.state == "skipped"
    assert {entry.action for entry in AuditEntry.objects.all()} == {"restore", "retry", "roll back", "skip"}


@pytest.mark.parametrize(("check", "field"), [("login", "fingerprint"), ("repository_login", "repository_fingerprint")])
def test_the_fingerprint_of_the_last_check_is_accepted_and_written_down(operator, service, check, field):
    Service.objects.update(checks=[{"name": check, "state": "failed", "fingerprint": "SHA256:seen"}])
    response = act(operator, "service_fingerprint", service.pk, check=check, fingerprint="SHA256:other")
    assert "another fingerprint" in said(response)
    assert not AuditEntry.objects.exists()
    act(operator, "service_fingerprint", service.pk, check=check, fingerprint="SHA256:seen")
    assert getattr(Service.objects.get(), field) == "SHA256:seen"
    page = operator.get(reverse("ftpdeploy_audit")).content.decode()
    assert ">Accept fingerprint</td>" in page
    assert f"· {capfirst(Service._meta.get_field(field).verbose_name)}: SHA256:seen</span>" in page


def test_cancel_a_waiting_deploy(operator, service):
    waiting = Deploy.objects.create(service=service, state="queued", position=1)
    response = act(operator, "deploy_cancel", waiting.pk, next=reverse("ftpdeploy_log"))
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"
    assert response.redirect_chain[0][0] == reverse("ftpdeploy_log")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "http://testserver@evil.example/"])
def test_an_action_never_leads_away_from_the_site(operator, service, target):
    response = operator.post(reverse("ftpdeploy_service_deploy", args=[service.pk]), {"next": target})
    assert response.url == reverse("ftpdeploy_service_manage", args=[service.pk])


def test_the_delete_limit_is_asked_about(operator, service):
    stopped = Deploy.objects.create(service=service, state="failed", error_kind="TooManyDeletes", position=1)
    page = operator.get(reverse("ftpdeploy_deploy_detail", args=[stopped.pk])).content.decode()
    assert reverse("ftpdeploy_deploy_confirm", args=[stopped.pk]) in page
    act(operator, "deploy_confirm_now", stopped.pk)
    assert Deploy.objects.get(state="queued").confirmed_deletes


def test_the_notification_is_changed_in_place(operator, service):
    team = Notification.objects.create(name="Team")
    url = reverse("ftpdeploy_service_notification", args=[service.pk])
    assert "Team" in operator.get(url, headers={"HX-Request": "true"}).content.decode()
    operator.post(url, {"notification": team.pk}, headers={"HX-Request": "true"})
    service.refresh_from_db()
    assert service.notification == team
    operator.post(url, {"notification": ""})
    service.refresh_from_db()
    assert service.notification is None


def form_of(service: Service, **changes) -> dict[str, str]:
    from django.forms.models import model_to_dict

    from ftp_deploy.server.forms.service import ServiceForm

    values = model_to_dict(service, fields=ServiceForm.Meta.fields)
    kept = {name: value for name, value in values.items() if value not in (None, False, [])}
    return {**{name: "" if not isinstance(value, str | int) else str(value) for name, value in kept.items()}, **changes}


def test_a_service_is_added_and_its_name_comes_from_the_slug(operator):
    blank = form_of(Service(), host="ftp.example.com", username="u", repository_slug="o/site", password="canary")
    response = operator.post(reverse("ftpdeploy_service_add"), {**blank, "repository_name": ""})
    service = Service.objects.get()
    assert response.url == reverse("ftpdeploy_service_manage", args=[service.pk])
    assert service.repository_name == "site"
    assert service.password == "canary"
    assert "canary" not in json.dumps([entry.detail for entry in AuditEntry.objects.all()])


def test_an_empty_password_keeps_the_stored_one(operator, service):
    operator.post(reverse("ftpdeploy_service_edit", args=[service.pk]), form_of(service, password="", branch="live"))
    service = Service.objects.get()
    assert (service.branch, service.password) == ("live", "canary")


def test_a_changed_server_needs_the_password_again(operator, service):
    url = reverse("ftpdeploy_service_edit", args=[service.pk])
    page = operator.post(url, form_of(service, password="", host="evil.example")).content.decode()
    assert "enter this again" in page
    assert Service.objects.get().host == "ftp.example.com"
    operator.post(url, form_of(service, password="other", host="new.example"))
    assert (Service.objects.get().host, Service.objects.get().password) == ("new.example", "other")


def test_the_stored_password_is_tried_only_on_its_own_server(service):
    from ftp_deploy.server.connection import target_of

    values = {"protocol": "ftp", "host": "ftp.example.com", "port": "", "username": "u", "path": "/"}
    assert target_of(values, service).password == "canary"
    for change in ({"host": "evil.example"}, {"username": "x"}, {"port": "2121"}, {"protocol": "sftp"}):
        assert target_of({**values, **change}, service).password == ""
    assert target_of({**values, "password": "typed"}, service).password == "typed"


def test_a_notification_is_saved_with_its_addresses(operator):
    table = {"addresses-TOTAL_FORMS": "2", "addresses-INITIAL_FORMS": "0", "addresses-0-email": "a@example.com"}
    table |= {"addresses-0-on_fail": "on", "addresses-1-email": ""}
    operator.post(reverse("ftpdeploy_notification_add"), {"name": "Team", "deploy_user_fail": "on", **table})
    notification = Notification.objects.get()
    assert notification.deploy_user_fail
    assert not notification.deploy_user_success
    assert list(notification.addresses.values_list("email", "on_success", "on_fail")) == [
        ("a@example.com", False, True)
    ]


def test_a_test_mail_is_sent(operator):
    notification = Notification.objects.create(name="Team")
    Address.objects.create(notification=notification, email="a@example.com")
    assert "a@example.com" in said(act(operator, "notification_test", notification.pk))
    assert mail.outbox[0].to == ["a@example.com"]


def test_an_account_in_use_is_not_deleted(operator, service):
    account = Account.objects.create(name="Studio", provider="github", token="canary")
    Service.objects.update(account=account)
    assert "Services use this account" in said(act(operator, "account_delete", account.pk))
    assert Account.objects.exists()


def test_a_stored_token_is_not_sent_to_another_forge(operator):
    account = Account.objects.create(name="Studio", provider="gitlab", token="canary", url="https://git.example.com")
    url = reverse("ftpdeploy_account_edit", args=[account.pk])
    page = operator.post(url, {"name": "Studio", "provider": "gitlab", "url": "https://evil.example"})
    assert "enter this again" in page.content.decode()
    operator.post(url, {"name": "Atelier", "provider": "gitlab", "url": "https://git.example.com"})
    account.refresh_from_db()
    assert (account.name, account.token) == ("Atelier", "canary")


def test_live_answers_are_small_and_change_their_tag(operator, service, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr("ftp_deploy.server.live.KEPT", 60)
    monkeypatch.setattr("ftp_deploy.server.live.TRUSTED", 60)
    deploy = Deploy.objects.create(service=service, state="running", phase="uploading", position=1, files_total=9)
    url = reverse("ftpdeploy_deploy_live", args=[deploy.pk])
    with django_assert_max_num_queries(6):
        first = operator.get(url)
    assert len(first.content) < 700
    tag = first.headers["ETag"]
    assert operator.get(url, headers={"If-None-Match": tag}).status_code == 304
    Deploy.objects.update(files_done=4)
    with django_assert_max_num_queries(2):  # those of LoginRequiredMiddleware
        assert operator.get(url).headers["ETag"] == tag
    cache.clear()
    second = operator.get(url, headers={"If-None-Match": tag})
    assert second.json()["progress"][str(service.pk)]["files_done"] == 4
    assert second.json()["version"] == first.json()["version"]
    Deploy.objects.update(state="succeeded")
    cache.clear()
    assert operator.get(url).json()["version"] != first.json()["version"]
    for name, arguments in (("service_live", [service.pk]), ("dashboard_live", [])):
        response = operator.get(
            reverse(f"ftpdeploy_{name}", args=arguments) + f"?ids={service.pk},x,999999999999999999999"
        )
        again = operator.get(response.wsgi_request.get_full_path(), headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304


def test_a_right_to_ask_is_remembered_for_one_person_and_one_page(client, service):
    hidden = Service.objects.create(
        repository_name="hidden", repository_slug="o/hidden", host="h", username="u", path="/w"
    )
    hidden.groups.add(Group.objects.create(name="Others"))
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(Group.objects.get(name=VIEWERS))
    client.force_login(viewer)
    mine, others = (reverse("ftpdeploy_service_live", args=[one.pk]) for one in (service, hidden))
    assert (client.get(mine).status_code, client.get(others).status_code) == (200, 404)
    ticket = live.ticket_of(client.get(mine).wsgi_request)
    assert cache.get(ticket)
    assert len(ticket.removeprefix(live.PREFIX)) == 64  # 64 bits could be met by choosing ``ids``
    dashboard = reverse("ftpdeploy_dashboard_live")
    ids = f"?ids={service.pk},{hidden.pk}"
    before = client.get(dashboard + ids).json()
    Service.objects.filter(pk=hidden.pk).update(status=Service.Status.FAILING)
    cache.clear()
    assert client.get(dashboard + ids).json() == before


def test_the_list_of_files_holds_no_thread_for_long(operator, monkeypatch):
    asked = []

    def fetch(source, branch):
        asked.append(source.total_timeout)
        raise RepositoryUnavailable("slow")

    monkeypatch.setattr("ftp_deploy.repository.git.fetch", fetch)
    form = {"provider": "github", "repository_slug": "o/site", "branch": "main"}
    page = operator.post(reverse("ftpdeploy_exclude_preview"), form)
    assert "slow" in page.content.decode()
    assert asked == [60]


def test_a_number_that_is_none_is_no_failure_of_ours(operator, service):
    endless = "9" * 5000
    operator.raise_request_exception = False
    for name, form in (
        ("exclude_preview", {"provider": "github", "account": endless}),
        ("test_connection", {"service": endless, "protocol": "ftp"}),
    ):
        assert operator.post(reverse(f"ftpdeploy_{name}"), form).status_code in {200, 404}, name
    url = reverse("ftpdeploy_service_notification", args=[service.pk])
    assert operator.post(url, {"notification": endless}).status_code == 404
    assert operator.post(url, {"notification": ""}).status_code in {200, 302}


def test_the_log_is_sent_by_offset_and_downloaded_whole(operator, service, failed):
    sample.add_log(failed, 4500)
    url = reverse("ftpdeploy_deploy_live", args=[failed.pk])
    texts, after = [], 0
    for _ in range(4):
        news = operator.get(f"{url}?after={after}").json()
        texts += [line[2] for line in news["lines"]]
        after = news["after"]
    assert texts == list(LogLine.objects.order_by("pk").values_list("text", flat=True))
    whole = b"".join(operator.get(reverse("ftpdeploy_deploy_log", args=[failed.pk])).streaming_content).decode()
    assert whole.count("\n") == 4500
    page = operator.get(reverse("ftpdeploy_deploy_detail", args=[failed.pk])).content
    assert len(page) < 100_000


def test_the_csv_holds_no_formula(operator, service, failed):
    Deploy.objects.update(user_name='=HYPERLINK("http://evil.example")', error="two\nlines")
    text = b"".join(operator.get(reverse("ftpdeploy_log_csv")).streaming_content).decode()
    assert "\"'=HYPERLINK" in text
    assert operator.get(reverse("ftpdeploy_log_csv") + "?since=0000-99-99&service=x&before=9e9").status_code == 200


def test_files_are_searched(operator, failed):
    Change.objects.bulk_create(Change(deploy=failed, path=f"img/{n}.png", action="add") for n in range(250))
    page = operator.get(reverse("ftpdeploy_deploy_detail", args=[failed.pk]) + "?file=img/24").content.decode()
    assert page.count("<code>img/") == 11


def test_the_log_pages_forth_and_back(operator, service):
    Deploy.objects.bulk_create(Deploy(service=service, state="succeeded", position=n, user_name="u") for n in range(60))
    url = reverse("ftpdeploy_log")
    first = operator.get(url)
    second = operator.get(f"{url}?before={first.context['older']}")
    third = operator.get(f"{url}?before={second.context['older']}")
    assert [len(page.context["entries"]) for page in (first, second, third)] == [25, 25, 10]
    assert third.context["older"] is None
    back = operator.get(f"{url}?after={third.context['newer']}")
    assert [deploy.pk for deploy in back.context["entries"]] == [deploy.pk for deploy in second.context["entries"]]


def test_trying_a_server_and_looking_at_its_folders(operator):
    from ftp_deploy.transports import memory

    values = {"protocol": "memory", "host": "h", "username": "u", "password": "p", "path": "/"}
    page = operator.post(reverse("ftpdeploy_test_connection"), values).content.decode()
    assert "The connection works" in page
    assert memory
    assert "Folders in /" in operator.post(reverse("ftpdeploy_browse"), values).content.decode()
    refused = operator.post(
        reverse("ftpdeploy_test_connection"), {**values, "protocol": "ftp", "host": "127.0.0.1", "port": "9"}
    )
    assert "alert-danger" in refused.content.decode()


def test_the_same_preview_comes_before_all_that_overwrites_or_deletes(operator, service, failed, monkeypatch):
    from ftp_deploy.deploys.manifest import Entry, Manifest
    from ftp_deploy.models import ServiceManifest
    from tests.deploys.trees import snapshot

    monkeypatch.setattr(
        "ftp_deploy.deploys.restore.fetch_service", lambda _service, _commit="": snapshot({"new.html": b"n", "a": b"1"})
    )
    stored = ServiceManifest(service=service)
    stored.manifest = Manifest({"a": Entry("0" * 40, 0o100644, 1), "old.html": Entry("1" * 40, 0o100644, 1)})
    stored.save()
    pages = {
        "service_restore": ([service.pk], "service_restore_now", "Restore"),
        "service_full": ([service.pk], "service_deploy", "Upload everything"),
        "service_rollback": ([service.pk, "c" * 40], "service_rollback_now", "Roll back"),
        "deploy_confirm": ([failed.pk], "deploy_confirm_now", "Deploy, and delete these files"),
    }
    for name, (arguments, action, button) in pages.items():
        page = operator.get(reverse(f"ftpdeploy_{name}", args=arguments)).content.decode()
        place = failed.pk if action.startswith("deploy") else service.pk
        assert f'action="{reverse(f"ftpdeploy_{action}", args=[place])}"' in page, name
        assert f">{button}</button>" in page, name
        for words, path in (("New files", "new.html"), ("Modified files", "a"), ("Removed files", "old.html")):
            section = page.partition(words)[2].partition("</section>")[0]
            assert f"<li>{path}</li>" in section, (name, words)
    assert not Deploy.objects.filter(state="queued").exists()


def test_verify_says_what_the_command_says(operator, service, monkeypatch):
    from io import StringIO

    from django.core.management import CommandError, call_command

    from ftp_deploy.deploys.manifest import Entry, Manifest
    from ftp_deploy.models import ServiceManifest
    from ftp_deploy.transports.memory import StoredFile, store

    Service.objects.update(protocol="memory", host="verify.example")
    url = reverse("ftpdeploy_service_verify", args=[service.pk])
    assert "there is nothing to compare" in operator.post(url).content.decode()
    stored = ServiceManifest(service=service)
    stored.manifest = Manifest({name: Entry("0" * 40, 0o100644, 3) for name in ("same", "changed", "gone")})
    stored.save()
    held = store("verify.example")
    held.files = {f"/w/{name}": StoredFile(text) for name, text in (("same", b"123"), ("changed", b"1"), ("x", b""))}
    page = operator.post(url).content.decode()
    out = StringIO()
    with pytest.raises((SystemExit, CommandError)):
        call_command("ftp_deploy", "verify", str(service.pk), stdout=out)
    for words, path in (("Missing on the server", "gone"), ("Another size", "changed"), ("from no deploy", "x")):
        assert words in page
        assert f"<li>{path}</li>" in page
        assert f"  {path}\n" in out.getvalue()
    assert "<li>same</li>" not in page
    held.files = {f"/w/{name}": StoredFile(b"123") for name in ("same", "changed", "gone")}
    assert "3 files are as they were deployed" in operator.post(url).content.decode()
    monkeypatch.setattr("ftp_deploy.server.views.verify.LONGEST", -1)
    page = operator.post(url).content.decode()
    assert f"only a part of it was listed. All of it: <code>manage.py ftp_deploy verify {service.pk}</code>" in page
    assert "are as they were deployed" not in page


def test_who_was_let_in_is_not_trusted_for_anything_else(operator, client, service, failed):
    url = reverse("ftpdeploy_deploy_live", args=[failed.pk])
    assert operator.get(url).status_code == 200
    other = Deploy.objects.create(service=service, state="failed", position=2)
    stranger = client.__class__()
    assert stranger.get(url).status_code == 302
    stranger.cookies["sessionid"] = "made-up"
    assert stranger.get(url).status_code == 302
    assert operator.get(reverse("ftpdeploy_deploy_live", args=[other.pk])).status_code == 200
    operator.logout()
    assert operator.get(url).status_code == 302


@pytest.mark.parametrize("phase", Deploy.Phase.values)
def test_every_phase_has_a_page(operator, service, phase):
    deploy = Deploy.objects.create(service=service, state="running", phase=phase, position=1)
    cache.clear()
    for name, pk in (("deploy_detail", deploy.pk), ("deploy_live", deploy.pk), ("service_manage", service.pk)):
        assert operator.get(reverse(f"ftpdeploy_{name}", args=[pk])).status_code == 200


def test_a_service_is_switched_off_and_on_with_a_click(operator, service):
    off = act(operator, "service_switch", service.pk, enabled="0")
    service.refresh_from_db()
    assert not service.enabled
    assert "pushes are answered, but nothing is deployed" in off.content.decode()
    assert "Deploy now" not in off.content.decode()
    act(operator, "service_switch", service.pk, enabled="1")
    service.refresh_from_db()
    assert service.enabled
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["switch off", "switch on"]
