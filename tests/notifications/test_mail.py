"""Mails: who gets one, what it says, and that no name in it can make a header."""

import email
import email.policy
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import override_settings

from ftp_deploy import notifications
from ftp_deploy.models import Change, Deploy, Message
from tests.factories import make_deploy, make_notification, make_service

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_marks(settings: Any) -> None:
    settings.FTP_DEPLOY_COMMIT_STATUS = False
    settings.FTP_DEPLOY_BASE_URL = "https://deploy.example.com"


def receivers() -> list[str]:
    return sorted(person for sent in mail.outbox for person in sent.to)


def test_addresses_hear_of_what_they_chose() -> None:
    told = make_notification(("s@example.com", True, False), ("f@example.com", False, True))
    service = make_service(notification=told)
    notifications.send(make_deploy(service))
    assert receivers() == ["s@example.com"]
    notifications.send(make_deploy(service, state=Deploy.State.FAILED, error="550 no"))
    assert receivers() == ["f@example.com", "s@example.com"]


def test_the_first_success_after_a_failure_is_told_as_a_recovery_to_both() -> None:
    told = make_notification(("s@example.com", True, False), ("f@example.com", False, True))
    service = make_service(notification=told)
    make_deploy(service, state=Deploy.State.FAILED)
    notifications.send(make_deploy(service))
    assert receivers() == ["f@example.com", "s@example.com"]
    assert {sent.subject for sent in mail.outbox} == {"site (main): works again, deploy succeeded"}
    mail.outbox.clear()
    notifications.send(make_deploy(service))
    assert receivers() == ["s@example.com"]


def test_who_pushed_and_everyone_with_a_commit_are_told_once_each() -> None:
    told = make_notification(
        ("Builder@Example.com", True, True), deploy_user_success=True, commit_user_success=True, deploy_user_fail=True
    )
    service = make_service(notification=told)
    deploy = make_deploy(service, user_email="editor@example.com")
    notifications.send(deploy)
    notifications.send(deploy)
    assert receivers() == ["Builder@Example.com", "designer@example.com", "editor@example.com"]
    mail.outbox.clear()
    notifications.send(make_deploy(service, user_email="editor@example.com", state=Deploy.State.FAILED))
    assert receivers() == ["Builder@Example.com", "editor@example.com"]


def test_a_run_tells_the_people_of_all_pushes_that_it_carried() -> None:
    told = make_notification(deploy_user_success=True, commit_user_success=True)
    service = make_service(notification=told)
    run = make_deploy(service, commits=[], user_email="last@example.com", position=2)
    carried = make_deploy(service, user_email="first@example.com", run=run, position=1)
    notifications.send(carried)
    assert mail.outbox == []
    notifications.send(run)
    assert receivers() == ["builder@example.com", "designer@example.com", "first@example.com", "last@example.com"]
    assert "Add a page" in mail.outbox[0].body


@pytest.mark.parametrize(
    "address", ["", "[REDACTED]", "12+builder@users.noreply.github.com", "a@b\nBcc: x@example.com", "root@localhost"]
)
def test_addresses_that_reach_nobody_are_left_out(address: str) -> None:
    service = make_service(notification=make_notification(commit_user_success=True))
    commits = [{"id": "c", "message": "m", "author_name": "n", "author_email": address}]
    notifications.send(make_deploy(service, commits=commits))
    assert mail.outbox == []


def test_the_templates_get_the_documented_context(tmp_path: Path, settings: Any) -> None:
    folder = tmp_path / "ftp_deploy" / "email"
    folder.mkdir(parents=True)
    (folder / "email_success.txt").write_text(
        "{{ service.repository_name }}|{{ host }}|{{ commits_info }}|{{ files_added }}|{{ files_modified }}"
        "|{{ files_removed }}|{{ deploy.pk }}|{{ url }}"
    )
    (folder / "email_success.html").write_text("<b>{{ host }}</b>")
    (folder / "subject_success.txt").write_text("Own: {{ service }}\n")
    (folder / "email_fail.txt").write_text("{{ service.repository_name }}|{{ host }}|{{ error }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    service = make_service(notification=make_notification(("a@example.com", True, True)))
    deploy = make_deploy(service)
    for path, action in (("a.txt", "add"), ("m.txt", "modify"), ("r.txt", "delete")):
        Change.objects.create(deploy=deploy, path=path, action=action)
    notifications.send(deploy)
    sent = mail.outbox[0]
    text = sent.body.replace("&#x27;", "'")
    assert text.startswith("site|deploy.example.com|[['Add a page', 'Builder', '" + "a" * 40 + "'], ['Fix the page'")
    assert f"|['a.txt']|['m.txt']|['r.txt']|{deploy.pk}|https://deploy.example.com/" in text
    assert sent.alternatives[0][0] == "<b>deploy.example.com</b>"
    assert sent.subject == "Own: site (main)"
    notifications.send(make_deploy(service, state=Deploy.State.FAILED, error="550 Permission denied"))
    assert mail.outbox[1].body == "site|deploy.example.com|550 Permission denied"


def test_names_cannot_make_headers_or_markup() -> None:
    bad = 'x"\r\nBcc: thief@example.com\r\n\r\n<script>alert(1)</script>'
    service = make_service(
        repository_name=bad,
        branch="b\u2028\nTo: t@example.com",
        notification=make_notification(("a@e.com", True, True)),
    )
    deploy = make_deploy(
        service, commits=[{"id": "c", "message": bad, "author_name": bad, "author_email": "x@y.z\nBcc: q@r.s"}]
    )
    Change.objects.create(deploy=deploy, path="<img src=x>\nX-Evil: 1", action="add")
    notifications.send(deploy)
    raw = email.message_from_bytes(mail.outbox[0].message().as_bytes(), policy=email.policy.default)
    assert set(raw.keys()) == {
        "Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID", "In-Reply-To", "References",
        "List-Id", "Auto-Submitted", "X-Auto-Response-Suppress",
    }  # fmt: skip
    assert raw["To"] == "a@e.com"
    html = str(mail.outbox[0].alternatives[0][0])
    assert "<script>" not in html
    assert "<img" not in html


def test_the_headers_make_one_list_and_one_thread_for_each_service() -> None:
    service = make_service(notification=make_notification(("a@example.com", True, True)))
    first, second = make_deploy(service), make_deploy(service)
    for deploy in (first, second):
        notifications.send(deploy)
    one, two = (sent.message() for sent in mail.outbox)
    assert one["List-Id"] == two["List-Id"] == f'"site (main)" <service-{service.pk}.ftp-deploy.deploy.example.com>'
    assert one["References"] == two["References"] == f"<service-{service.pk}@deploy.example.com>"
    assert one["Message-ID"] != two["Message-ID"]
    assert one["Auto-Submitted"] == "auto-generated"


def test_a_deploy_without_a_set_tells_nobody() -> None:
    notifications.send(make_deploy(make_service()))
    assert mail.outbox == []
    assert Deploy.objects.get().notified_at is not None
    assert not Message.objects.exists()


def test_no_secret_is_in_a_mail() -> None:
    service = make_service(
        hook_secret="canary-hook", secret_key="canarykey", notification=make_notification(("a@example.com", True, True))
    )
    notifications.send(make_deploy(service))
    notifications.send(make_deploy(service, state=Deploy.State.FAILED, error="530 refused"))
    assert "canary" not in "".join(sent.message().as_string() for sent in mail.outbox)


@override_settings(FTP_DEPLOY_BASE_URL="", FTP_DEPLOY_FROM_EMAIL="Deploys <d@example.com>")
def test_without_a_base_url_the_mail_has_no_link() -> None:
    service = make_service(notification=make_notification(("a@example.com", True, True)))
    notifications.send(make_deploy(service))
    assert "http" not in mail.outbox[0].body
    assert mail.outbox[0].from_email == "Deploys <d@example.com>"
