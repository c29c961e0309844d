"""The outbox: written down once, sent once, tried again, never a matter of the deploy. With a real mail server."""

import smtplib
import socket
from collections.abc import Iterator
from datetime import timedelta
from email.message import Message as Mail
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as KeepingHandler
from django.core import mail
from django.utils import timezone

from ftp_deploy import notifications
from ftp_deploy.models import Deploy, Message, Service
from ftp_deploy.notifications.outbox import write_down
from ftp_deploy.signals import service_status_changed
from tests.factories import make_deploy, make_notification, make_service

pytestmark = pytest.mark.django_db


class Keeper(KeepingHandler):
    """Keeps mails and refuses some recipients."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Mail] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("unknown@"):
            return "550 5.1.1 No such user"
        if address.startswith("later@"):
            return "451 4.7.1 Try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def handle_message(self, message: Mail) -> None:
        self.mails.append(message)


@pytest.fixture(autouse=True)
def no_marks(settings: Any) -> None:
    settings.FTP_DEPLOY_COMMIT_STATUS = False


@pytest.fixture
def mail_server(settings: Any) -> Iterator[Keeper]:
    keeper = Keeper()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(keeper, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    try:
        yield keeper
    finally:
        controller.stop()


def told_service(*people: str) -> Service:
    return make_service(notification=make_notification(*[(person, True, True) for person in people]))


def later() -> None:
    Message.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.integration
def test_a_mail_reaches_a_real_server_whole(mail_server: Keeper) -> None:
    service = make_service(repository_name="Büro", notification=make_notification(("a@example.com", True, True)))
    notifications.send(make_deploy(service))
    (received,) = mail_server.mails
    assert received["To"] == "a@example.com"
    assert received["Auto-Submitted"] == "auto-generated"
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in received.walk()}
    assert "Büro (main)".encode() in parts["text/plain"]
    assert "Büro (main)".encode() in parts["text/html"]
    assert Message.objects.get().state == Message.State.SENT


@pytest.mark.integration
def test_a_refused_recipient_is_given_up_and_a_busy_one_tried_again(mail_server: Keeper) -> None:
    deploy = make_deploy(told_service("unknown@example.com", "later@example.com", "a@example.com"))
    notifications.send(deploy)
    states = {row.recipient: (row.state, row.error) for row in Message.objects.all()}
    assert states["unknown@example.com"] == (
        "failed", "The mail server refused the recipient: 550 5.1.1 No such user",
    )  # fmt: skip
    assert states["later@example.com"][0] == "waiting"
    assert "451" in states["later@example.com"][1]
    later()
    notifications.deliver_due()
    assert [received["To"] for received in mail_server.mails] == ["a@example.com"]


@pytest.mark.integration
def test_a_broken_mail_server_never_touches_the_deploy_and_is_tried_again(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    deploy = make_deploy(told_service("a@example.com", "b@example.com"))
    before = Deploy.objects.values("state", "error", "finished_at").get()
    notifications.send(deploy)
    assert Deploy.objects.values("state", "error", "finished_at").get() == before
    assert sorted(Message.objects.values_list("attempts", flat=True)) == [0, 1]
    assert notifications.deliver_due() == 1
    keeper = Keeper()
    controller = Controller(keeper, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        later()
        assert notifications.deliver_due() == 2
    finally:
        controller.stop()
    assert sorted(received["To"] for received in keeper.mails) == ["a@example.com", "b@example.com"]
    assert notifications.deliver_due() == 0


def test_pauses_grow_and_end(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", refuse)
    settings.FTP_DEPLOY_MESSAGE_ATTEMPTS = 9
    notifications.send(make_deploy(told_service("a@example.com")))
    pauses = []
    for _ in range(8):
        row = Message.objects.get()
        assert row.state == Message.State.WAITING
        assert row.next_attempt_at is not None
        pauses.append(round((row.next_attempt_at - timezone.now()).total_seconds() / 60))
        later()
        notifications.deliver_due()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert Message.objects.get().state == Message.State.FAILED
    assert "SMTPServerDisconnected" in Message.objects.get().error


def test_a_message_is_claimed_once() -> None:
    deploy = make_deploy(told_service("a@example.com"))
    write_down(deploy)
    first, second = Message.objects.get(), Message.objects.get()
    from ftp_deploy.notifications.outbox import deliver

    assert (deliver([first]), deliver([second])) == (1, 0)
    assert len(mail.outbox) == 1


def test_a_lost_message_costs_time_and_no_mail() -> None:
    make_deploy(told_service("a@example.com"))
    make_deploy(told_service_named("old"), finished_at=timezone.now() - timedelta(days=2))
    assert notifications.deliver_due() == 1
    assert notifications.deliver_due() == 0
    assert len(mail.outbox) == 1


def told_service_named(name: str) -> Service:
    told = make_notification(("b@example.com", True, True), name=name)
    return make_service(notification=told)


def test_a_broken_template_is_tried_again(tmp_path: Any, settings: Any) -> None:
    folder = tmp_path / "ftp_deploy" / "email"
    folder.mkdir(parents=True)
    (folder / "email_success.txt").write_text("{% nonsense %}")
    good = settings.TEMPLATES
    settings.TEMPLATES = [{**good[0], "DIRS": [str(tmp_path)]}]
    notifications.send(make_deploy(told_service("a@example.com")))
    assert "TemplateSyntaxError" in Message.objects.get().error
    settings.TEMPLATES = good
    later()
    notifications.deliver_due()
    assert len(mail.outbox) == 1


def test_a_service_that_goes_bad_is_told_once_and_again_when_it_is_fine(published: list[Any]) -> None:
    service = told_service("a@example.com")
    for before, after, told in (
        ("unknown", "failing", 0), ("failing", "ok", 1), ("ok", "failing", 1), ("failing", "failing", 0),
    ):  # fmt: skip
        service.status, service.status_message = Service.Status(after), "530 Login incorrect"
        service_status_changed.send_robust(sender=Service, service=service, before=before)
        service.save()
        assert notifications.deliver_due() == told
    assert [sent.subject for sent in mail.outbox] == [
        "site (main): the service is fine again",
        "site (main): the service needs attention",
    ]
    assert "530 Login incorrect" in mail.outbox[1].body
    assert published == [("ftp_deploy.deliver", ())] * 2
