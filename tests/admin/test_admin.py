"""The admin: everything can be done there, each by those who may, and no secret is shown."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.messages import get_messages
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from ftp_deploy import deeds, tasks
from ftp_deploy.exceptions import RepositoryUnavailable
from ftp_deploy.models import Account, AuditEntry, Change, Deploy, Heartbeat, LogLine, Message, Notification, Service
from ftp_deploy.providers.base import Hook
from tests.factories import make_deploy, make_notification, make_service

pytestmark = pytest.mark.django_db

SECRETS = ("canary-password", "canary-key", "canary-phrase", "canary-hook", "canary-after", "canary-token")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "send", lambda *ids, **_: found.append(ids))
    monkeypatch.setattr("ftp_deploy.deploys.wakeup.send", lambda *ids, **_: found.append(ids))
    return found


def user_with(*permissions: str) -> Client:
    user = User.objects.create_user("builder", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def secret_service() -> Service:
    return make_service(
        private_key="canary-key",
        passphrase="canary-phrase",
        hook_secret="canary-hook",
        after_urls="https://canary-after/",
    )


def fields_of(response: Any) -> dict[str, str]:
    """Return what a browser would send back from the form of a page."""
    form = response.context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    values |= {
        f"initial-{name}": form[name].value() for name, field in form.fields.items() if field.show_hidden_initial
    }
    return {
        name: str(value)
        for name, value in values.items()
        if value not in (None, False, "", []) and str(value)[0] != "<"
    }


def act(client: Client, model: str, action: str, *rows: Any, **more: str) -> list[str]:
    response = client.post(
        reverse(f"admin:ftp_deploy_{model}_changelist"),
        {"action": action, "_selected_action": [row.pk for row in rows], **more},
    )
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.mark.parametrize("model", ["service", "deploy", "notification", "account", "auditentry", "message"])
def test_every_list_opens(admin_client: Client, model: str) -> None:
    service = secret_service()
    service.notification = make_notification(("a@example.com", True, False), channels="json://canary-token@host/x")
    service.save()
    deploy = make_deploy(service)
    Account.objects.create(name="acc", provider="github", token="canary-token")
    AuditEntry.objects.create(user_name="builder", action="deploy", service=service)
    Message.objects.create(service=service, deploy=deploy, event="fail", channel="mail", recipient="a@example.com")
    page = admin_client.get(reverse(f"admin:ftp_deploy_{model}_changelist"), {"q": "a"})
    assert page.status_code == 200
    text = page.content.decode()
    assert not [secret for secret in SECRETS if secret in text]


def test_a_service_shows_no_secret_and_keeps_those_left_empty(admin_client: Client, sent: list[Any]) -> None:
    service = secret_service()
    address = reverse("admin:ftp_deploy_service_change", args=[service.pk])
    page = admin_client.get(address)
    text = page.content.decode()
    assert not [secret for secret in SECRETS if secret in text]
    for words in ("FTP settings", "Repository", "Notification", "Security", "Status"):
        assert words in text
    values = fields_of(page) | {"branch": "live", "passphrase-clear": "1", "hook_secret": "new-hook"}
    answer = admin_client.post(address, values)
    assert answer.status_code == 302, answer.context["errors"]
    stored = Service.objects.get()
    assert (stored.branch, stored.password, stored.passphrase, stored.hook_secret, stored.private_key) == (
        "live", "canary-password", "", "new-hook", "canary-key",
    )  # fmt: skip


def test_the_record_is_kept_without_a_language_and_shown_in_the_viewer_s(
    admin_client: Client, settings: Any, sent: list[Any]
) -> None:
    settings.LANGUAGE_CODE = "pl"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    service = secret_service()
    service.notification = make_notification(("a@example.com", True, False))
    service.save()
    address = reverse("admin:ftp_deploy_service_change", args=[service.pk])
    values = fields_of(admin_client.get(address)) | {"first_deploy": "adopt", "branch": "live"}
    assert admin_client.post(address, values).status_code == 302
    address = reverse("admin:ftp_deploy_notification_change", args=[service.notification.pk])
    row = service.notification.addresses.get()
    values = fields_of(admin_client.get(address)) | {
        "addresses-TOTAL_FORMS": 1, "addresses-INITIAL_FORMS": 1, "addresses-0-id": row.pk,
        "addresses-0-notification": row.notification_id, "addresses-0-email": row.email, "addresses-0-on_fail": "on",
    }  # fmt: skip
    assert admin_client.post(address, values).status_code == 302
    act(admin_client, "service", "deploy_full", service)
    kept = [(entry.action, entry.detail) for entry in AuditEntry.objects.order_by("pk")]
    assert kept == [
        ("edit service", {"fields": ["branch", "first_deploy"]}),
        ("edit notification", {"fields": ["addresses"]}),
        ("deploy", {"full": True}),
    ]
    listed = reverse("admin:ftp_deploy_auditentry_changelist")
    page = admin_client.get(listed, {"action": "edit service"}, headers={"Accept-Language": "pl"}).content.decode()
    with translation.override("pl"):
        assert f">{deeds.action_label('edit service')}<" in page
        assert deeds.action_label("edit service") != "Edit service"
        assert deeds.field_label("first_deploy") in page
    assert "edit service<" not in page


def test_a_service_can_be_added(admin_client: Client, sent: list[Any], django_capture_on_commit_callbacks: Any) -> None:
    address = reverse("admin:ftp_deploy_service_add")
    values = fields_of(admin_client.get(address)) | {
        "host": "ftp.example.com", "username": "u", "password": "pw", "repository_name": "r", "repository_slug": "o/r",
        "private_key": "-----BEGIN KEY-----\r\nabc\r\n-----END KEY-----\r\n",
    }  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(address, values)
    assert answer.status_code == 302, answer.context["errors"]
    service = Service.objects.get()
    assert service.password == "pw"
    assert service.private_key == "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
    assert len(service.hook_secret) == 30
    assert sent == [("ftp_deploy.validate", service.pk)]


def test_a_service_is_saved_without_the_key_that_encrypted_it(admin_client: Client, sent: Any, settings: Any) -> None:
    service = secret_service()
    settings.FTP_DEPLOY_ENCRYPTION_KEYS = ["A" * 43 + "="]
    address = reverse("admin:ftp_deploy_service_change", args=[service.pk])
    answer = admin_client.post(address, fields_of(admin_client.get(address)) | {"password": "entered-again"})
    assert answer.status_code == 302, answer.context["errors"]
    assert Service.objects.get().password == "entered-again"


def test_the_status_is_a_word_with_a_mark(admin_client: Client) -> None:
    service = make_service(status=Service.Status.FAILING, status_message="<b>530</b> Login incorrect")
    make_deploy(service, state=Deploy.State.RUNNING)
    assert "✘ failing" in admin_client.get(reverse("admin:ftp_deploy_service_changelist")).content.decode()
    page = admin_client.get(reverse("admin:ftp_deploy_service_change", args=[service.pk])).content.decode()
    assert "&lt;b&gt;530" in page


def test_a_deploy_of_50000_files_is_one_page_of_them(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    deploy = make_deploy(error="550 <no>", warnings=["w"])
    Change.objects.bulk_create(
        [Change(deploy=deploy, path=f"dir/file-{n:05}.txt", action="add") for n in range(50_000)], batch_size=5000
    )
    LogLine.objects.bulk_create([LogLine(deploy=deploy, at=timezone.now(), text=f"line {n:04}") for n in range(1000)])
    address = reverse("admin:ftp_deploy_deploy_change", args=[deploy.pk])
    with django_assert_max_num_queries(15):
        page = admin_client.get(address)
    text = page.content.decode()
    assert page.status_code == 200
    assert "file-00099" in text
    assert "file-00100" not in text
    assert "line 0199" in text
    assert "line 0200" not in text
    assert len(text) < 200_000
    assert "file-49999" in admin_client.get(address, {"changes_page": "500"}).content.decode()
    found = admin_client.get(address, {"changes_path": "file-33333", "changes_action": "add"}).content.decode()
    assert "file-33333" in found
    assert "file-00000" not in found
    assert "line 0999" in admin_client.get(address, {"log_page": "5"}).content.decode()


def test_deploys_are_read_only(admin_client: Client) -> None:
    deploy = make_deploy()
    assert admin_client.get(reverse("admin:ftp_deploy_deploy_add")).status_code == 403
    assert admin_client.post(reverse("admin:ftp_deploy_deploy_change", args=[deploy.pk]), {}).status_code == 403
    assert admin_client.post(reverse("admin:ftp_deploy_deploy_delete", args=[deploy.pk])).status_code == 403


def test_a_service_goes_with_its_log(admin_client: Client) -> None:
    service = make_service()
    for _ in range(30):
        make_deploy(service)
    address = reverse("admin:ftp_deploy_service_delete", args=[service.pk])
    assert "30" in admin_client.get(address).content.decode()
    admin_client.post(address, {"post": "yes"})
    assert not Service.objects.exists()
    assert not Deploy.objects.exists()


def test_deploy_actions(admin_client: Client, sent: list[Any]) -> None:
    service = make_service()
    off = make_service(enabled=False, repository_name="off")
    told = act(admin_client, "service", "deploy_now", service, off)
    assert len(told) == 2
    assert any("turned off" in line for line in told)
    act(admin_client, "service", "deploy_full", service)
    assert [deploy.kind for deploy in Deploy.objects.in_order()] == ["manual", "full"]
    assert {deploy.requested_by.username for deploy in Deploy.objects.all() if deploy.requested_by} == {"admin"}
    act(admin_client, "service", "validate", service)
    assert ("ftp_deploy.validate", service.pk) in sent


def test_what_can_be_done_about_a_deploy(admin_client: Client, sent: list[Any]) -> None:
    service = make_service()
    failed = make_deploy(service, state=Deploy.State.FAILED, position=1)
    stopped = make_deploy(service, state=Deploy.State.FAILED, error_kind="TooManyDeletes", position=2)
    waiting = make_deploy(service, state=Deploy.State.QUEUED, position=3)
    live = make_deploy(service, commit="c" * 40, position=4)
    act(admin_client, "deploy", "cancel", waiting)
    assert Deploy.objects.get(pk=waiting.pk).state == Deploy.State.CANCELLED
    assert "can no longer be cancelled" in act(admin_client, "deploy", "cancel", live)[-1]
    act(admin_client, "deploy", "retry", failed)
    assert Deploy.objects.latest("pk").after == failed.after
    act(admin_client, "deploy", "confirm_deletes", stopped)
    assert Deploy.objects.latest("pk").confirmed_deletes
    act(admin_client, "deploy", "roll_back", live)
    assert (Deploy.objects.latest("pk").kind, Deploy.objects.latest("pk").after) == ("rollback", "c" * 40)
    assert "Choose one" in act(admin_client, "deploy", "roll_back", live, failed)[-1]
    act(admin_client, "deploy", "skip", failed)
    assert Deploy.objects.get(pk=failed.pk).state == Deploy.State.SKIPPED


def test_a_restore_is_shown_first(admin_client: Client, sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftp_deploy.deploys import restore

    service = make_service()
    failed = make_deploy(service, state=Deploy.State.FAILED)
    shown = restore.Preview(
        "b" * 40, tuple(failed.commits), ("new.txt",), ("changed.txt",), ("gone.txt",), (), ("beware",)
    )
    monkeypatch.setattr(restore, "preview_restore", lambda _: shown)
    page = admin_client.post(
        reverse("admin:ftp_deploy_service_changelist"), {"action": "restore", "_selected_action": service.pk}
    )
    for words in ("Add a page", "new.txt", "changed.txt", "gone.txt", "beware"):
        assert words in page.content.decode()
    assert Deploy.objects.count() == 1
    act(admin_client, "service", "restore", service, confirmed="1")
    assert Deploy.objects.latest("pk").kind == Deploy.Kind.RESTORE


def test_a_restore_that_cannot_be_previewed_says_why(
    admin_client: Client, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Service) -> None:
        raise RepositoryUnavailable("The forge is away.", advice="Wait.")

    monkeypatch.setattr("ftp_deploy.deploys.restore.preview_restore", away)
    assert act(admin_client, "service", "restore", make_service()) == ["site (main): The forge is away. Wait."]


@pytest.mark.parametrize(
    ("model", "action", "permission"),
    [
        ("service", "deploy_now", "deploy_service"),
        ("service", "deploy_full", "deploy_service"),
        ("service", "restore", "restore_service"),
        ("service", "validate", "change_service"),
        ("deploy", "retry", "deploy_service"),
        ("deploy", "cancel", "deploy_service"),
        ("deploy", "confirm_deletes", "deploy_service"),
        ("deploy", "skip", "skip_deploy"),
        ("deploy", "roll_back", "restore_service"),
        ("notification", "send_test", "change_notification"),
    ],
)
def test_actions_need_their_permission(model: str, action: str, permission: str, sent: Any) -> None:
    client = user_with(f"view_{model}")
    page = client.get(reverse(f"admin:ftp_deploy_{model}_changelist"))
    assert f'value="{action}"' not in page.content.decode()
    user = User.objects.get(username="builder")
    user.user_permissions.add(Permission.objects.get(codename=permission))
    make_deploy()
    make_notification()
    page = client.get(reverse(f"admin:ftp_deploy_{model}_changelist"))
    assert f'value="{action}"' in page.content.decode()


def test_an_action_without_its_permission_does_nothing(sent: list[Any]) -> None:
    service = make_service()
    act(user_with("view_service"), "service", "deploy_now", service)
    assert not Deploy.objects.exists()
    assert sent == []


def test_a_notification_with_its_addresses(admin_client: Client) -> None:
    address = reverse("admin:ftp_deploy_notification_add")
    values = fields_of(admin_client.get(address)) | {
        "name": "team", "channels": "json://canary-token@hooks.example.com/x", "deploy_user_fail": "on",
        "addresses-TOTAL_FORMS": "1", "addresses-INITIAL_FORMS": "0", "addresses-0-email": "a@example.com",
        "addresses-0-on_success": "on",
    }  # fmt: skip
    answer = admin_client.post(address, values)
    assert answer.status_code == 302, answer.context["errors"]
    stored = Notification.objects.get()
    assert stored.channels == "json://canary-token@hooks.example.com/x"
    assert [(row.email, row.on_success, row.on_fail) for row in stored.addresses.all()] == [
        ("a@example.com", True, False)
    ]
    page = admin_client.get(reverse("admin:ftp_deploy_notification_changelist")).content.decode()
    assert "a@example.com, json://…" in page
    assert "deploy_user, json://…" in page
    assert "canary" not in page


def test_a_test_message_that_does_not_arrive_says_so(admin_client: Client) -> None:
    told = act(admin_client, "notification", "send_test", make_notification(channels="nonsense://x"))
    assert "nonsense://… is not an address that Apprise knows." in told[0]
    assert mail.outbox == []


def test_a_sweep_that_stands_still_is_shown(admin_client: Client) -> None:
    make_service()
    assert "No sweep ever ran" in admin_client.get(reverse("admin:ftp_deploy_service_changelist")).content.decode()
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    assert "No sweep" not in admin_client.get(reverse("admin:ftp_deploy_service_changelist")).content.decode()


def test_what_is_done_is_written_down(admin_client: Client, sent: Any) -> None:
    service = make_service()
    act(admin_client, "service", "deploy_now", service)
    address = reverse("admin:ftp_deploy_service_change", args=[service.pk])
    admin_client.post(address, fields_of(admin_client.get(address)) | {"password": "canary-new", "branch": "live"})
    with translation.override("pl"):  # the action is a code, whatever language the person reads
        admin_client.post(reverse("admin:ftp_deploy_service_delete", args=[service.pk]), {"post": "yes"})
    entries = list(AuditEntry.objects.order_by("pk"))
    assert [(entry.user_name, entry.action) for entry in entries] == [
        ("admin", "deploy"), ("admin", "edit service"), ("admin", "delete service"),
    ]  # fmt: skip
    assert entries[1].detail["fields"] == ["password", "branch"]
    assert entries[0].address == "127.0.0.1"
    assert "canary" not in str([entry.detail for entry in entries])


def test_an_action_that_failed_is_not_written_down_as_done(admin_client: Client, sent: Any) -> None:
    act(admin_client, "service", "deploy_now", make_service(enabled=False))
    assert not AuditEntry.objects.exists()


def test_a_notification_of_an_unseen_service_cannot_be_chosen(sent: Any) -> None:
    unseen = make_service(repository_name="unseen", notification=make_notification(channels="json://canary-token@h/x"))
    unseen.groups.add(Group.objects.create(name="clients"))
    mine = make_service(repository_name="mine")
    client = user_with("view_service", "change_service", "view_notification")
    address = reverse("admin:ftp_deploy_service_change", args=[mine.pk])
    answer = client.post(address, fields_of(client.get(address)) | {"notification": str(unseen.notification_id)})
    assert answer.status_code == 200
    assert "notification" in answer.context["adminform"].form.errors
    mine.refresh_from_db()
    assert mine.notification is None
    unseen.groups.clear()
    answer = client.post(address, fields_of(client.get(address)) | {"notification": str(unseen.notification_id)})
    assert answer.status_code == 302


def test_services_of_other_groups_are_not_seen(sent: Any) -> None:
    service = make_service(repository_name="unseen")
    open_one = make_service(repository_name="open")
    service.groups.add(Group.objects.create(name="clients"))
    deploy = make_deploy(service, state=Deploy.State.FAILED)
    Message.objects.create(service=service, event="fail", channel="mail", recipient="unseen@example.com")
    AuditEntry.objects.create(user_name="x", action="deploy", service=service, subject="unseen")
    client = user_with(
        "view_service",
        "view_deploy",
        "view_message",
        "view_auditentry",
        "deploy_service",
        "change_service",
        "skip_deploy",
    )
    for model in ("service", "deploy", "message", "auditentry"):
        assert "unseen" not in client.get(reverse(f"admin:ftp_deploy_{model}_changelist")).content.decode()
    assert client.get(reverse("admin:ftp_deploy_service_change", args=[service.pk])).status_code == 302
    assert client.get(reverse("admin:ftp_deploy_deploy_change", args=[deploy.pk])).status_code == 302
    act(client, "service", "deploy_now", service, open_one)
    assert [made.service for made in Deploy.objects.filter(kind="manual")] == [open_one]
    act(client, "deploy", "skip", deploy)
    assert Deploy.objects.get(pk=deploy.pk).state == Deploy.State.FAILED


def test_the_hook_is_added_and_the_keys_renewed(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, sent: Any
) -> None:
    class Forge:
        has_api = True
        held: list[Hook] = []

        def hooks(self, repository: str) -> list[Hook]:
            return self.held

        def add_hook(self, repository: str, url: str, secret: str) -> Hook:
            self.held.append(Hook("7", url, True))
            return self.held[0]

        def update_hook(self, repository: str, hook_id: str, url: str, secret: str) -> Hook:
            self.held[:] = [Hook(hook_id, url, True)]
            return self.held[0]

    monkeypatch.setattr(Service, "forge", lambda _: Forge())
    service = make_service()
    page = admin_client.get(reverse("admin:ftp_deploy_service_change", args=[service.pk])).content.decode()
    assert "FTP_DEPLOY_BASE_URL" in page
    assert "in place" in act(admin_client, "service", "add_hook", service)[-1]
    assert service.secret_key in Forge.held[0].url
    assert "knows them" in act(admin_client, "service", "renew_keys", service)[-1]
    renewed = Service.objects.get()
    assert renewed.secret_key != service.secret_key
    assert renewed.secret_key in Forge.held[0].url
