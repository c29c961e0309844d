"""Channels, webhooks and the mark beside a commit, each against a real HTTP server."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy import notifications
from ftp_deploy.exceptions import AddressRefused, ApiError, FTPDeployError, NotSent
from ftp_deploy.models import Deploy, Message, Notification, Service
from ftp_deploy.notifications import chat
from ftp_deploy.providers.base import CommitState
from tests.factories import make_deploy, make_notification, make_service
from tests.servers.http import Site, http_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def base_url(settings: Any) -> None:
    settings.FTP_DEPLOY_COMMIT_STATUS = False
    settings.FTP_DEPLOY_BASE_URL = "https://deploy.example.com"


@pytest.fixture
def site() -> Iterator[Site]:
    with http_site() as found:
        yield found


def channel(site: Site) -> str:
    return site.url.replace("http://", "json://") + "/canary-token"


def told(**values: Any) -> Service:
    return make_service(notification=make_notification(**values))


def test_a_channel_hears_of_each_outcome(site: Site) -> None:
    service = told(channels=f"# the team\n{channel(site)}\n\n{channel(site)}\n")
    notifications.send(make_deploy(service))
    notifications.send(make_deploy(service, state=Deploy.State.FAILED, error="550 Permission denied"))
    good, bad = (asked.json for asked in site.asked)
    assert (good["title"], good["type"]) == ("site (main): deploy succeeded", "success")
    assert "Add a page" in good["message"]
    assert "https://deploy.example.com/" in good["message"]
    assert (bad["title"], bad["type"]) == ("site (main): deploy failed", "failure")
    assert "550 Permission denied" in bad["message"]


def test_a_channel_that_is_down_is_tried_again_and_its_token_shown_nowhere(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.answer = lambda _: (500, {}, b"")
    notifications.send(make_deploy(told(channels=channel(site))))
    row = Message.objects.get()
    assert (row.state, row.recipient) == ("waiting", "json://…")
    assert "canary" not in caplog.text + row.error + row.recipient + repr(row.__dict__)


@pytest.mark.parametrize("url", ["nonsense://a", "no address", "dbus://", "syslog://", "slack://"])
def test_unusable_channels_are_named_without_their_address(url: str) -> None:
    with pytest.raises(NotSent) as caught:
        chat.post(url, "t", "b")
    assert not caught.value.transient


def test_a_channel_inside_is_refused(site: Site, settings: Any) -> None:
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    notifications.send(make_deploy(told(channels=channel(site), webhook_url=site.url)))
    assert site.asked == []
    assert {row.state for row in Message.objects.all()} == {"failed"}
    assert all("not a public address" in row.error for row in Message.objects.all())


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "2130706433", "0x7f000001", "0", "[::1]", "[::ffff:10.0.0.1]"]
)
def test_a_host_inside_is_known_in_every_spelling(host: str, settings: Any) -> None:
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(FTPDeployError):
        chat.post(f"json://{host}/x", "t", "b")


def test_a_host_inside_is_known_where_others_have_a_token(settings: Any) -> None:
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    with pytest.raises(AddressRefused):
        chat.post(f"zulip://botname@127.0.0.1/{'a' * 32}", "t", "b")


@pytest.mark.parametrize(
    "url", ["ntfy://topic", f"matrix://{'a' * 64}?mode=t2bot", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
)
def test_a_topic_or_token_is_not_looked_up(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    asked: list[Any] = []
    monkeypatch.setattr(chat, "resolve", lambda *args, **named: asked.append(args))
    chat._check_host(chat._open(url))
    assert asked == []


@pytest.mark.parametrize(
    "url",
    [
        "tgram://123456789:abcdefg_hijklmnop/12315544/?template={file}",
        "discord://canary-id/canary-token?Template={file}",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template={file}",
        "workflows://127.0.0.1/canary-flow/canary-sign/?template=http://127.0.0.1/inside",
        "fcm://project/device/?keyfile={file}",
        "vapid://someone@example.com/other@example.com?subfile={file}",
        "mailto://someone:word@example.com?pgp=yes&pgppub={file}",
    ],
)
def test_a_channel_sends_no_file_of_the_worker(url: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    assert "file of the worker's machine" in chat.problem(url.format(file=tmp_path / "secret"))


def test_a_channel_is_not_led_elsewhere(site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = False
    monkeypatch.setattr(chat, "resolve", lambda *args, **named: ())  # as if the first host were a public one
    site.answer = lambda asked: (302, {"Location": f"{site.url}/inside"}, b"")
    with pytest.raises(NotSent):
        chat.post(f"{channel(site)}?redirect=yes", "t", "b")
    assert [asked.path for asked in site.asked] == ["/canary-token"]


def test_channels_hear_of_what_was_chosen(site: Site) -> None:
    service = told(channels=channel(site), channels_success=False)
    notifications.send(make_deploy(service))
    assert site.asked == []
    notifications.send(make_deploy(service, state=Deploy.State.FAILED))
    notifications.send(make_deploy(service))
    assert [asked.json["title"] for asked in site.asked] == [
        "site (main): deploy failed",
        "site (main): works again, deploy succeeded",
    ]


def test_a_webhook_is_signed_as_the_specification_says(site: Site) -> None:
    service = told(webhook_url=f"{site.url}/hook?t=canary-token")
    deploy = make_deploy(service, state=Deploy.State.FAILED, error="550 no", files_added=3)
    notifications.send(deploy)
    (asked,) = site.asked
    secret = Notification.objects.get().webhook_secret
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert asked.headers["webhook-signature"] == f"v1,{expected}"
    body = asked.json
    assert body["type"] == "deploy.fail"
    assert body["data"]["service"]["repository"] == "owner/site"
    told_of = body["data"]["deploy"]
    assert (told_of["id"], told_of["state"], told_of["error"], told_of["files_added"]) == (
        deploy.pk,
        "failed",
        "550 no",
        3,
    )
    assert "canary" not in asked.body.decode()
    assert Message.objects.get().recipient == "http://127.0.0.1/…"


def test_the_signature_of_a_known_example() -> None:
    """The example of the Standard Webhooks specification's reference libraries."""
    from ftp_deploy.notifications.webhook import signature

    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(("status", "state"), [(204, "sent"), (500, "waiting"), (404, "waiting"), (410, "failed")])
def test_what_a_receiver_answers_decides(site: Site, status: int, state: str) -> None:
    site.answer = lambda _: (status, {}, b"")
    notifications.send(make_deploy(told(webhook_url=site.url)))
    assert Message.objects.get().state == state


def test_a_webhook_keeps_its_id_when_tried_again(site: Site) -> None:
    site.answer = lambda _: (503, {}, b"")
    notifications.send(make_deploy(told(webhook_url=site.url)))
    Message.objects.update(next_attempt_at=None)
    notifications.deliver_due()
    assert len({asked.headers["webhook-id"] for asked in site.asked}) == 1
    assert len(site.asked) == 2


def test_the_test_button_reaches_everything(site: Site) -> None:
    told_of = notifications.send_test(make_notification(channels=channel(site), webhook_url=site.url))
    assert told_of == ["json://…", "http://127.0.0.1/…"]
    assert site.asked[0].json["type"] == "info"
    assert site.asked[1].json["type"] == "test"


class Marks:
    """A forge that takes marks."""

    def __init__(self) -> None:
        self.set: list[tuple[str, str]] = []
        self.error: ApiError | None = None

    def set_status(self, repository: str, commit: str, state: CommitState, url: str, description: str) -> None:
        if self.error:
            raise self.error
        assert repository == "owner/site"
        assert url.startswith("https://deploy.example.com/")
        self.set.append((commit[:1], state))


@pytest.fixture
def marks(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Marks:
    settings.FTP_DEPLOY_COMMIT_STATUS = True
    found = Marks()
    monkeypatch.setattr(Service, "forge", lambda _: found)
    return found


def test_a_commit_is_marked_at_the_start_and_at_the_end(marks: Marks) -> None:
    service = make_service()
    deploy = make_deploy(service, state=Deploy.State.RUNNING)
    notifications.send(deploy)
    notifications.send(deploy)
    deploy.state, deploy.finished_at = Deploy.State.SUCCEEDED, deploy.created_at
    deploy.save()
    notifications.send(deploy)
    assert marks.set == [("b", "pending"), ("b", "success")]
    carried = make_deploy(service, after="c" * 40, run=deploy, state=Deploy.State.FAILED)
    notifications.send(carried)
    assert marks.set[-1] == ("c", "failure")


def test_a_token_that_may_not_mark_is_not_asked_again(marks: Marks) -> None:
    marks.error = ApiError("GitHub refuses.", status=403)
    notifications.send(make_deploy())
    assert (Message.objects.get().state, Message.objects.get().error) == ("failed", "GitHub refuses.")
    marks.error = ApiError("GitHub is away.", status=502, transient=True)
    notifications.send(make_deploy())
    assert Message.objects.first().state == "waiting"  # type: ignore[union-attr]


def test_plain_git_has_no_marks(marks: Marks) -> None:
    notifications.send(make_deploy(make_service(provider="git")))
    assert not Message.objects.exists()


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_no base64", "whsec_é"])
def test_a_secret_that_cannot_sign_says_what_to_enter(secret: str) -> None:
    from ftp_deploy.notifications.webhook import signature

    with pytest.raises(NotSent, match="cannot sign") as caught:
        signature(secret, "msg_1", "1700000000", b"{}")
    assert "whsec_" in caught.value.advice
