"""Every address of the app, walked as everybody: who may what, what a restricted person sees, headers, CSRF, audit.

Over 400 lines: one table of all addresses and the walks over it.
"""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.test import Client
from django.urls import NoReverseMatch, reverse

from ftp_deploy import urls as core
from ftp_deploy.access import OPERATORS, VIEWERS
from ftp_deploy.models import Account, AuditEntry, Change, Deploy, LogLine, Notification, Service
from ftp_deploy.server import urls as dashboard
from ftp_deploy.server.views import actions, notifications, service_tools
from tests.factories import make_deploy, make_notification, make_service

pytestmark = pytest.mark.django_db

MARK = "hidden7f3"
COMMIT = "a" * 40
VIEWER, OPERATOR, EDITOR = "viewer", "operator", "editor"
ROLES = ("nobody", VIEWER, OPERATOR, EDITOR)
LOOK = frozenset({VIEWER, OPERATOR, EDITOR})
OPERATE = frozenset({OPERATOR, EDITOR})
EDIT = frozenset({EDITOR})
EVERYBODY = frozenset(ROLES)

WHO_MAY: Mapping[str, tuple[str, frozenset[str]]] = {
    "ftpdeploy_dashboard": ("GET", LOOK),
    "ftpdeploy_dashboard_live": ("GET", LOOK),
    "ftpdeploy_log_live": ("GET", LOOK),
    "ftpdeploy_password_change": ("GET", EVERYBODY),
    "ftpdeploy_service_add": ("GET", EDIT),
    "ftpdeploy_service_manage": ("GET", LOOK),
    "ftpdeploy_service_edit": ("GET", EDIT),
    "ftpdeploy_service_delete": ("GET", EDIT),
    "ftpdeploy_service_live": ("GET", LOOK),
    "ftpdeploy_service_check": ("POST", EDIT),
    "ftpdeploy_service_switch": ("POST", EDIT),
    "ftpdeploy_service_fingerprint": ("POST", EDIT),
    "ftpdeploy_service_hook": ("POST", EDIT),
    "ftpdeploy_service_keys": ("GET", EDIT),
    "ftpdeploy_service_keys_now": ("POST", EDIT),
    "ftpdeploy_service_deploy": ("POST", OPERATE),
    "ftpdeploy_service_full": ("GET", OPERATE),
    "ftpdeploy_service_restore": ("GET", OPERATE),
    "ftpdeploy_service_restore_now": ("POST", OPERATE),
    "ftpdeploy_service_rollback_now": ("POST", OPERATE),
    "ftpdeploy_service_rollback": ("GET", OPERATE),
    "ftpdeploy_service_verify": ("GET", OPERATE),
    "ftpdeploy_service_notification": ("GET", EDIT),
    "ftpdeploy_source_repositories": ("GET", EDIT),
    "ftpdeploy_source_branches": ("GET", EDIT),
    "ftpdeploy_exclude_preview": ("POST", EDIT),
    "ftpdeploy_test_connection": ("POST", EDIT),
    "ftpdeploy_browse": ("POST", EDIT),
    "ftpdeploy_deploy_detail": ("GET", LOOK),
    "ftpdeploy_deploy_live": ("GET", LOOK),
    "ftpdeploy_deploy_log": ("GET", LOOK),
    "ftpdeploy_deploy_cancel": ("POST", OPERATE),
    "ftpdeploy_deploy_retry": ("POST", OPERATE),
    "ftpdeploy_deploy_confirm": ("GET", OPERATE),
    "ftpdeploy_deploy_confirm_now": ("POST", OPERATE),
    "ftpdeploy_deploy_skip": ("GET", OPERATE),
    "ftpdeploy_deploy_skip_now": ("POST", OPERATE),
    "ftpdeploy_log": ("GET", LOOK),
    "ftpdeploy_log_csv": ("GET", LOOK),
    "ftpdeploy_audit": ("GET", EDIT),
    "ftpdeploy_statistics": ("GET", LOOK),
    "ftpdeploy_notifications": ("GET", LOOK),
    "ftpdeploy_notification_add": ("GET", EDIT),
    "ftpdeploy_notification_edit": ("GET", EDIT),
    "ftpdeploy_notification_delete": ("GET", EDIT),
    "ftpdeploy_notification_test": ("POST", EDIT),
    "ftpdeploy_accounts": ("GET", EDIT),
    "ftpdeploy_account_add": ("GET", EDIT),
    "ftpdeploy_account_edit": ("GET", EDIT),
    "ftpdeploy_account_delete": ("GET", EDIT),
    "ftpdeploy_account_try": ("POST", EDIT),
}
"""Name of an address: how it is called, and by whom it may be. A new address needs a line here."""
OPEN = frozenset({"ftpdeploy_login", "ftpdeploy_logout", "ftpdeploy_deploy", "ftpdeploy_deploy_status"})
"""For strangers too; each has tests of its own."""
NOT_WRITTEN_DOWN = frozenset({"ftpdeploy_exclude_preview", "ftpdeploy_test_connection", "ftpdeploy_browse"})
"""Called by POST because a form is sent, but nothing is changed."""
OF_ONE_SERVICE = sorted(
    name for name in WHO_MAY if name.startswith(("ftpdeploy_service_", "ftpdeploy_deploy_")) and name[-4:] != "_add"
)
COMMON = sorted(set(WHO_MAY) - set(OF_ONE_SERVICE))


@pytest.fixture(autouse=True)
def _nothing_outside(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """What an action does is tested elsewhere: here it is only let in or not, for a service that may be seen or not."""
    classes = [actions.ServiceAction]
    for found in classes:
        classes += found.__subclasses__()
        monkeypatch.setattr(found, "act", lambda self, service: "done")
        monkeypatch.setattr(found, "detail", lambda self: {})
    monkeypatch.setattr(service_tools.connection, "try_server", lambda target: service_tools.connection.Trial(ok=True))
    monkeypatch.setattr(service_tools.connection, "folders_in", lambda target: ["www"])
    monkeypatch.setattr(notifications.SendTest, "send", lambda self, notification: [])
    settings.FTP_DEPLOY_CONNECT_TIMEOUT = 2.0
    cache.clear()
    yield
    cache.clear()


def rows_of(mark: str) -> dict[str, int]:
    """Make a service with everything that belongs to one; ``mark`` stands in every text of it. Return the keys."""
    account = Account.objects.create(name=f"{mark}-account", provider="git")
    notification = make_notification((f"{mark}@example.com", True, True), name=f"{mark}-set")
    service = make_service(
        host="127.0.0.1", port=9, username=mark, path=f"/{mark}", account=account, notification=notification,
        provider="git", repository_name=mark, repository_slug=f"http://127.0.0.1:9/{mark}.git", branch=mark,
        status="failing", status_message=mark, site_url=f"https://{mark}.example.com",
    )  # fmt: skip
    deploy = make_deploy(
        service, state=Deploy.State.FAILED, error=mark, branch=mark, user_name=mark, after=COMMIT,
        commits=[{"id": COMMIT, "message": mark, "author_name": mark, "author_email": f"{mark}@example.com"}],
    )  # fmt: skip
    Change.objects.create(deploy=deploy, path=f"{mark}.html", action="add")
    LogLine.objects.create(deploy=deploy, at=deploy.created_at, text=mark)
    AuditEntry.objects.create(action="deploy", service=service, subject=mark, user_name=mark)
    return {"service": service.pk, "deploy": deploy.pk, "notification": notification.pk, "account": account.pk}


@pytest.fixture
def rows() -> dict[str, int]:
    return rows_of("shown")


@pytest.fixture
def hidden() -> dict[str, int]:
    """A service that only the members of a group may see."""
    made = rows_of(MARK)
    Service.objects.get(pk=made["service"]).groups.add(Group.objects.create(name="clients"))
    return made


def client_of(role: str, **options: Any) -> Client:
    client = Client(**options)
    if role == "anonymous":
        return client
    user = User.objects.create_user(role, password="x", is_staff=role.startswith("staff"))
    name = role.removeprefix("staff ")
    if name == VIEWER:
        user.groups.add(Group.objects.get(name=VIEWERS))
    elif name == OPERATOR:
        user.groups.add(Group.objects.get(name=OPERATORS))
    elif name == EDITOR:
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="ftp_deploy"))
    client.force_login(user)
    return client


def address(name: str, keys: Mapping[str, int]) -> str:
    room = name.split("_")[1]
    key = keys.get(room, keys["service"])
    for arguments in ([], [key], [key, COMMIT]):
        try:
            return reverse(name, args=arguments)
        except NoReverseMatch:
            continue
    raise AssertionError(f"{name} takes other arguments")


def ask(client: Client, name: str, keys: Mapping[str, int]) -> Any:
    """Call an address as a person's browser would."""
    method = client.get if WHO_MAY[name][0] == "GET" else client.post
    return method(address(name, keys), {"provider": "git", "commit": COMMIT})


def text_of(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(content.decode())


def is_let_in(answer: Any) -> bool:
    """Whether an answer is neither a refusal nor the way to the login."""
    assert answer.status_code < 500
    return answer.status_code not in {403, 404} and "/login/" not in answer.headers.get("Location", "")


def test_every_address_has_its_line() -> None:
    names = {str(pattern.name) for pattern in (*dashboard.urlpatterns, *core.urlpatterns)}
    assert names == set(WHO_MAY) | OPEN


def test_a_stranger_is_sent_to_the_login(rows: dict[str, int]) -> None:
    for name in WHO_MAY:
        answer = ask(Client(), name, rows)
        assert answer.status_code == 302, name
        assert answer.headers["Location"].startswith(reverse("ftpdeploy_login")), name


@pytest.mark.parametrize("role", ROLES)
def test_everybody_gets_what_is_theirs(role: str, rows: dict[str, int]) -> None:
    client = client_of(role)
    for name, (_method, allowed) in WHO_MAY.items():
        answer = ask(client, name, rows)
        assert is_let_in(answer) is (role in allowed), f"{name}: {answer.status_code}"
        if role not in allowed:
            assert answer.status_code == 403, name


@pytest.mark.parametrize("role", [VIEWER, OPERATOR, EDITOR])
def test_a_service_of_others_is_not_there(role: str, hidden: dict[str, int]) -> None:
    client = client_of(role)
    for name in OF_ONE_SERVICE:
        answer = ask(client, name, hidden)
        assert answer.status_code in {403, 404}, f"{name}: {answer.status_code}"
        assert MARK not in text_of(answer), name
    assert not AuditEntry.objects.exclude(subject=MARK).exists()


@pytest.mark.parametrize("role", [VIEWER, OPERATOR])
def test_no_page_tells_of_a_service_of_others(role: str, rows: dict[str, int], hidden: dict[str, int]) -> None:
    client = client_of(role)
    for name in COMMON:
        if role in WHO_MAY[name][1]:
            assert MARK not in text_of(ask(client, name, rows)), name
    page = client.get(reverse("ftpdeploy_log"), {"service": hidden["service"]})
    assert MARK not in text_of(page)
    page = client.get(reverse("ftpdeploy_dashboard_live"), {"services": f"{hidden['service']}"})
    assert MARK not in text_of(page)


def test_the_audit_log_tells_of_no_service_of_others(rows: dict[str, int], hidden: dict[str, int]) -> None:
    client = client_of(EDITOR)
    for query in ({}, {"service": hidden["service"]}, {"user": MARK}):
        page = text_of(client.get(reverse("ftpdeploy_audit"), query))
        assert f"{MARK}<" not in page
        assert f">{MARK}" not in page
    assert "shown" in text_of(client.get(reverse("ftpdeploy_audit")))


def test_every_action_is_written_down(rows: dict[str, int]) -> None:
    client = client_of(EDITOR)
    for name, (method, _allowed) in WHO_MAY.items():
        if method == "POST" and name not in NOT_WRITTEN_DOWN:
            before = AuditEntry.objects.count()
            ask(client, name, rows)
            assert AuditEntry.objects.count() == before + 1, name
            entry = AuditEntry.objects.latest("pk")
            assert (entry.user_name, entry.address) == (EDITOR, "127.0.0.1"), name


def test_nothing_is_done_without_the_token_against_forgery(rows: dict[str, int]) -> None:
    client = client_of(EDITOR, enforce_csrf_checks=True)
    before = AuditEntry.objects.count()
    for name in WHO_MAY:
        answer = client.post(address(name, rows), {"confirm": "1"})
        assert answer.status_code in {403, 405}, f"{name}: {answer.status_code}"
    assert AuditEntry.objects.count() == before


def test_an_action_is_no_link(rows: dict[str, int]) -> None:
    client = client_of(EDITOR)
    for name, (method, _allowed) in WHO_MAY.items():
        if method == "POST":
            assert client.get(address(name, rows)).status_code == 405, name


def test_the_pages_keep_to_their_policy(rows: dict[str, int]) -> None:
    client, seen = client_of(EDITOR), 0
    names = [name for name, (method, _allowed) in WHO_MAY.items() if method == "GET"]
    answers = [(name, ask(client, name, rows)) for name in names]
    answers.append(("ftpdeploy_login", Client().get(reverse("ftpdeploy_login"))))
    for name, answer in answers:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"], name
        assert answer.headers["X-Content-Type-Options"] == "nosniff", name
        if answer.headers["Content-Type"].startswith("text/html"):
            assert inline_parts(text_of(answer)) == [], name
            seen += 1
    assert seen >= 20


class InlineParts(HTMLParser):
    """Collects what a policy without ``unsafe-inline`` would stop: scripts, styles and handlers in the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        bad = [name for name in given if name.startswith("on") or name == "style"]
        bad += [name for name, value in attrs if (value or "").strip().lower().startswith("javascript:")]
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") != "application/json"):
            bad.append(tag)
        self.found += [f"<{tag} {name}>" for name in bad]


def inline_parts(page: str) -> list[str]:
    parser = InlineParts()
    parser.feed(page)
    return parser.found


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7|add:7 }}\u202e'


def test_what_a_forge_sends_is_never_markup() -> None:
    keys = rows_of("shown")
    Service.objects.filter(pk=keys["service"]).update(
        repository_name=HOSTILE, branch=HOSTILE, path=HOSTILE, status_message=HOSTILE, host=HOSTILE,
        checks=[{"name": "hook", "state": "failed", "message": HOSTILE, "advice": HOSTILE}],
    )  # fmt: skip
    Deploy.objects.filter(pk=keys["deploy"]).update(
        error=HOSTILE, advice=HOSTILE, branch=HOSTILE, user_name=HOSTILE,
        commits=[{"id": HOSTILE, "message": HOSTILE, "author_name": HOSTILE}],
    )  # fmt: skip
    Change.objects.update(path=HOSTILE)
    LogLine.objects.update(text=HOSTILE)
    Account.objects.update(name=HOSTILE[:100], username=HOSTILE)
    Notification.objects.update(name=HOSTILE[:100])
    AuditEntry.objects.update(subject=HOSTILE, user_name=HOSTILE, detail={"x": HOSTILE})
    client = client_of(EDITOR)
    for name, (method, _allowed) in WHO_MAY.items():
        answer = ask(client, name, keys) if method == "GET" else None
        if answer is not None and answer.headers["Content-Type"].startswith("text/html"):
            page = text_of(answer)
            assert inline_parts(page) == [], name
            assert "<img src=x" not in page, name


PARAMETERS = (
    "service", "services", "text", "user", "since", "until", "fails", "before", "after", "page", "days", "provider",
    "account", "repository", "branch", "path", "show", "next",
)  # fmt: skip
ASKS_THE_FORGE = frozenset({"ftpdeploy_service_restore", "ftpdeploy_service_full", "ftpdeploy_service_rollback"})


@pytest.mark.parametrize("value", ["²", "9" * 40, "\0", "-1"], ids=ascii)
def test_no_parameter_breaks_a_page(value: str, rows: dict[str, int]) -> None:
    client = client_of(EDITOR, raise_request_exception=False)
    for name, (method, _allowed) in WHO_MAY.items():
        if method == "GET" and name not in ASKS_THE_FORGE | {"ftpdeploy_deploy_confirm"}:
            answer = client.get(address(name, rows), dict.fromkeys(PARAMETERS, value))
            assert answer.status_code < 500, name


@pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/localtime", "x" * 5000, "²"])
def test_no_time_zone_of_a_browser_breaks_a_page(zone: str) -> None:
    client = client_of(VIEWER)
    client.cookies["ftpdeploy_zone"] = zone
    assert client.get(reverse("ftpdeploy_dashboard")).status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_the_login_leads_nowhere_else(target: str) -> None:
    User.objects.create_user("builder", password="right")
    form = {"username": "builder", "password": "right", "next": target}
    answer = Client().post(reverse("ftpdeploy_login"), form)
    assert answer.status_code == 302
    assert answer.headers["Location"] == reverse("ftpdeploy_dashboard")


class TestAdmin:
    def pages(self, keys: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        """Yield name and address of every admin page of the app."""
        for model, site in admin.site._registry.items():
            if model._meta.app_label != "ftp_deploy":
                continue
            row = model._default_manager.filter(**self.choice(model, keys)).order_by("-pk").first()
            for pattern in site.urls:
                if not pattern.name:
                    continue
                name = f"admin:{pattern.name}"
                for arguments in ([], [row.pk] if row else []):
                    try:
                        yield name, reverse(name, args=arguments)
                        break
                    except NoReverseMatch:
                        continue

    def choice(self, model: Any, keys: Mapping[str, int]) -> dict[str, Any]:
        if model is Service:
            return {"pk": keys["service"]}
        names = {field.name for field in model._meta.get_fields()}
        if "service" in names:
            return {"service": keys["service"]}
        return {"deploy": keys["deploy"]} if "deploy" in names else {}

    def test_only_staff_is_let_in(self, rows: dict[str, int]) -> None:
        pages = list(self.pages(rows))
        assert len(pages) >= 25
        for client in (Client(), client_of(EDITOR)):
            for name, url in pages:
                answer = client.get(url)
                assert answer.status_code == 302, name
                assert "/admin/login/" in answer.headers["Location"], name

    def test_staff_needs_the_permission(self, rows: dict[str, int]) -> None:
        client = client_of("staff nobody")
        for name, url in self.pages(rows):
            if "autocomplete" not in url:
                assert client.get(url, follow=False).status_code in {302, 403}, name

    @pytest.mark.parametrize("role", [VIEWER, OPERATOR, EDITOR])
    def test_no_page_tells_of_a_service_of_others(
        self, role: str, rows: dict[str, int], hidden: dict[str, int]
    ) -> None:
        client = client_of(f"staff {role}")
        for keys in (rows, hidden):
            for name, url in self.pages(keys):
                if "account" in name:
                    continue  # these belong to no service: the permission alone decides
                answer = client.get(url)
                assert answer.status_code < 500, url
                page = text_of(answer)
                # The choice of an account is made among all of them.
                page = page.replace(f"{MARK}-account", "")
                assert MARK not in page, url

    @pytest.mark.parametrize("action", ["deploy_now", "deploy_full", "validate", "restore", "add_hook", "renew_keys"])
    def test_no_action_reaches_a_service_of_others(self, action: str, hidden: dict[str, int]) -> None:
        client = client_of(f"staff {EDITOR}")
        before = Service.objects.values("secret_key", "hook_id", "status", "checked_at").get(pk=hidden["service"])
        client.post(
            reverse("admin:ftp_deploy_service_changelist"),
            {"action": action, "_selected_action": [hidden["service"]], "index": 0, "post": "yes", "confirm": "1"},
        )
        assert (
            Service.objects.values("secret_key", "hook_id", "status", "checked_at").get(pk=hidden["service"]) == before
        )
        assert Deploy.objects.filter(service=hidden["service"]).count() == 1

    def test_viewers_are_offered_no_action(self, rows: dict[str, int]) -> None:
        client = client_of(f"staff {VIEWER}")
        for action in ("deploy_now", "deploy_full", "validate", "restore", "add_hook", "renew_keys"):
            client.post(
                reverse("admin:ftp_deploy_service_changelist"),
                {"action": action, "_selected_action": [rows["service"]], "index": 0, "post": "yes", "confirm": "1"},
            )
        assert Deploy.objects.count() == 1
        assert AuditEntry.objects.count() == 1
