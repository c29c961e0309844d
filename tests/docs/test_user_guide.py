"""What the guide of the 2.x releases promised by name: settings, addresses, templates and what these are given."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse

from ftp_deploy import notifications
from ftp_deploy.celery import defaults
from ftp_deploy.models import Change, Deploy
from ftp_deploy.models.account import settings_login
from tests.factories import make_deploy, make_notification, make_service

pytestmark = pytest.mark.django_db

COMMITS = "{% for message, user, node in commits_info %}{{ message }},{{ user }},{{ node }};{% endfor %}"
FILES = "{{ files_added|join:',' }}|{{ files_modified|join:',' }}|{{ files_removed|join:',' }}"
SUCCESS = "{{ service }}|{{ service.repository_name }}|{{ host }}|" + COMMITS + "|" + FILES
FAIL = "{{ service }}|{{ host }}|{{ error }}"


@pytest.fixture
def own_templates(tmp_path: Path, settings: Any) -> Path:
    """A folder of the project's own templates, before the app's."""
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    folder = tmp_path / "ftp_deploy" / "email"
    folder.mkdir(parents=True)
    return folder


def test_the_mails_are_templates_that_a_project_overrides(own_templates: Path, settings: Any) -> None:
    settings.FTP_DEPLOY_BASE_URL, settings.FTP_DEPLOY_COMMIT_STATUS = "https://deploy.example.com", False
    for ending in ("txt", "html"):
        (own_templates / f"email_success.{ending}").write_text(f"{ending}|{SUCCESS}")
        (own_templates / f"email_fail.{ending}").write_text(f"{ending}|{FAIL}")
    service = make_service(notification=make_notification(("a@example.com", True, True)))
    deploy = make_deploy(service)
    for path, action in (("new.html", "add"), ("old.html", "modify"), ("gone.html", "delete")):
        Change.objects.create(deploy=deploy, path=path, action=action)
    notifications.send(deploy)
    notifications.send(make_deploy(service, state=Deploy.State.FAILED, error="550 Permission denied"))
    good, bad = mail.outbox
    commits = f"Add a page,Builder,{'a' * 40};Fix the page,Designer,{'b' * 40};"
    told = f"{service}|site|deploy.example.com|{commits}|new.html|old.html|gone.html"
    assert (good.body.strip(), good.alternatives[0][0]) == (f"txt|{told}", f"html|{told}")
    told = f"{service}|deploy.example.com|550 Permission denied"
    assert (bad.body.strip(), bad.alternatives[0][0]) == (f"txt|{told}", f"html|{told}")


def test_subjects_are_templates_too() -> None:
    for name in ("success", "fail"):
        get_template(f"ftp_deploy/email/subject_{name}.txt")


@pytest.mark.parametrize("forge", ["github", "bitbucket"])
def test_the_forges_settings_keep_their_names_and_keys(settings: Any, forge: str) -> None:
    setattr(settings, f"DEPLOY_{forge.upper()}_SETTINGS", {"username": "agency", "password": "token"})
    login = settings_login(forge)
    assert (login.username, login.password) == ("agency", "token")


def test_the_broker_s_setting_keeps_its_name(settings: Any) -> None:
    settings.CELERY_BROKER_URL, settings.BROKER_URL = "", "amqp://"
    assert defaults()["broker_url"] == "amqp://"


def test_each_screen_of_the_guide_is_there() -> None:
    service = make_service()
    client = Client()
    assert client.get(reverse("ftpdeploy_login")).status_code == 200
    client.force_login(User.objects.create_superuser("chief", "chief@example.com", "x"))
    notification = make_notification()
    for address in (
        reverse("ftpdeploy_dashboard"),
        reverse("ftpdeploy_service_add"),
        reverse("ftpdeploy_service_manage", args=[service.pk]),
        reverse("ftpdeploy_service_edit", args=[service.pk]),
        reverse("ftpdeploy_notifications"),
        reverse("ftpdeploy_notification_add"),
        reverse("ftpdeploy_notification_edit", args=[notification.pk]),
        reverse("ftpdeploy_log"),
    ):
        assert client.get(address).status_code == 200, address


def test_the_manage_page_shows_what_the_guide_lists() -> None:
    service = make_service(notification=make_notification())
    make_deploy(service, user_name="editor")
    failed = make_deploy(service, state=Deploy.State.FAILED)
    make_deploy(service, state=Deploy.State.SKIPPED)
    client = Client()
    client.force_login(User.objects.create_superuser("chief", "chief@example.com", "x"))
    page = client.get(reverse("ftpdeploy_service_manage", args=[service.pk])).content.decode()
    for words in ("Add hook", "Success", "Failed", "Skipped", "Last user", "Last deploy", "Notification", "Status"):
        assert words in page, words
    for words in (
        "Restore deploys",
        "Recent deploys",
        "Add a page",
        reverse("ftpdeploy_deploy_skip", args=[failed.pk]),
    ):
        assert words in page, words
