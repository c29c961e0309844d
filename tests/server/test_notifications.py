"""The pages of notifications: what is refused is shown with what was entered, and each deed is written down."""

import smtplib

import pytest
from django.core import mail
from django.urls import reverse

from ftp_deploy.models import Address, AuditEntry, Notification
from ftp_deploy.server.views import notifications as views
from tests.factories import make_notification
from tests.server import sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client):
    client.force_login(sample.add_admin())
    return client


def said(response) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def table(email: str) -> dict[str, str]:
    return {
        "addresses-TOTAL_FORMS": "1", "addresses-INITIAL_FORMS": "0",
        "addresses-0-email": email, "addresses-0-on_fail": "on",
    }  # fmt: skip


def test_a_wrong_address_is_named_and_nothing_is_saved(operator) -> None:
    answer = operator.post(reverse("ftpdeploy_notification_add"), {"name": "Team", **table("no-address")})
    assert answer.status_code == 200
    assert "Enter a valid email address." in answer.content.decode()
    assert 'value="no-address"' in answer.content.decode()
    assert not Notification.objects.exists()


def test_deleting_takes_the_addresses_along_and_is_written_down(operator) -> None:
    made = make_notification(("team@example.com", True, True), name="Team")
    answer = operator.post(reverse("ftpdeploy_notification_delete", args=[made.pk]), follow=True)
    assert "deleted" in said(answer)
    assert not Notification.objects.exists()
    assert not Address.objects.exists()
    assert AuditEntry.objects.filter(action="delete notification").count() == 1


def test_a_test_goes_to_each_address(operator) -> None:
    made = make_notification(("one@example.com", True, False), ("two@example.com", False, True), name="Team")
    answer = operator.post(reverse("ftpdeploy_notification_test", args=[made.pk]), follow=True)
    assert "one@example.com, two@example.com" in said(answer)
    assert sorted(message.to[0] for message in mail.outbox) == ["one@example.com", "two@example.com"]


def test_a_set_that_tells_nobody_says_so(operator) -> None:
    made = make_notification(name="Team")
    answer = operator.post(reverse("ftpdeploy_notification_test", args=[made.pk]), follow=True)
    assert "no channel and no webhook" in said(answer)
    assert not AuditEntry.objects.filter(action="send test").exists()


def test_a_mail_server_that_refuses_is_quoted(operator, monkeypatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise smtplib.SMTPRecipientsRefused({"team@example.com": (550, b"unknown")})

    monkeypatch.setattr(views, "send_mail", refuse)
    made = make_notification(("team@example.com", True, True), name="Team")
    answer = operator.post(reverse("ftpdeploy_notification_test", args=[made.pk]), follow=True)
    assert "The mail server refused" in said(answer)
    assert "550" in said(answer)
