"""Bringing a 2.x site over, from a SQLite file made with its schema, and from renamed tables."""

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from ftp_deploy import notifications
from ftp_deploy.management.old_payloads import read_payload
from ftp_deploy.models import Deploy, Notification, Service

pytestmark = pytest.mark.django_db

SCHEMA = """
CREATE TABLE {p}ftp_deploy_notification (id integer PRIMARY KEY, name varchar(200) UNIQUE, success text, fail text,
    commit_user varchar(50), deploy_user varchar(50), created datetime, updated datetime);
CREATE TABLE {p}ftp_deploy_service (id integer PRIMARY KEY, ftp_host varchar(255), ftp_username varchar(50),
    ftp_password varchar(50), ftp_path varchar(255), repo_source varchar(10), repo_name varchar(50),
    repo_slug_name varchar(50), repo_branch varchar(50), repo_hook bool, secret_key varchar(30) UNIQUE, status bool,
    status_message text, notification_id integer, created datetime, updated datetime);
CREATE TABLE {p}ftp_deploy_log (id integer PRIMARY KEY, service_id integer, payload text, user varchar(200),
    created datetime, status bool, status_message text, skip bool);
CREATE TABLE {p}ftp_deploy_task (id integer PRIMARY KEY, name varchar(50), service_id integer, active bool);
"""
KEY = "gOCjXwHNndU6RuChSOhoddI9gIjibd"
GITHUB = {
    "ref": "refs/heads/live", "before": "1" * 40, "after": "2" * 40,
    "pusher": {"name": "builder", "email": "builder@e.com"},
    "commits": [
        {"id": "2" * 40, "message": "Fix\n", "author": {"name": "Builder", "email": "builder@e.com"}, "added": ["a"]}],
}  # fmt: skip
BITBUCKET = {
    "user": "designer", "commits": [
        {"node": "3" * 12, "raw_node": "3" * 40, "message": "One", "raw_author": "Designer <designer@e.com>",
         "branch": None},
        {"node": "4" * 12, "raw_node": "4" * 40, "message": "Two", "author": "designer", "branch": "live"},
    ],
}  # fmt: skip


def fill(execute: Any, prefix: str = "") -> None:
    mark = "?" if execute.__self__.__class__.__module__ == "sqlite3" else "%s"

    def insert(table: str, *values: Any) -> None:
        marks = ", ".join([mark] * len(values))
        execute(f"INSERT INTO {prefix}ftp_deploy_{table} VALUES ({marks})", values)  # noqa: S608

    for statement in SCHEMA.format(p=prefix).split(";"):
        if statement.strip():
            execute(statement)
    day = "2014-08-01 10:00:00"
    insert("notification", 1, "team", "a@e.com,b@e.com", "B@e.com, c@e.com,nonsense", "0,1", "1", day, day)
    ftp = ("ftp.e.com", "u", "canary-old")
    insert("service", 1, *ftp, "/www", "gh", "My Site", "my-site", "live", True, KEY, True, "", 1, day, day)
    insert("service", 2, *ftp, "/b", "bb", "Other", "other", "live", False, "k" * 30, False, "x<br>y", None, day, day)
    insert("log", 1, 1, "not json", "builder", day, False, "lost", False)
    insert("log", 2, 1, json.dumps(GITHUB), "builder", "2014-08-02T10:00:00+02:00", True, "", False)
    insert("log", 3, 1, json.dumps(BITBUCKET), "designer", day, False, "550 no such file", False)
    insert("log", 4, 2, json.dumps(BITBUCKET), "designer", day, False, "skipped one", True)
    insert("log", 5, 99, "{}", "nobody", day, True, "", False)
    insert("task", 1, "t", 1, False)


@pytest.fixture
def old_site(tmp_path: Path) -> Path:
    path = tmp_path / "old site?.db"
    with closing(sqlite3.connect(path)) as database:
        fill(database.execute)
        database.commit()
    return path


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("ftp_deploy", "migrate-from-2", *words, stdout=out)
    return out.getvalue()


def test_everything_comes_over(old_site: Path, settings: Any) -> None:
    settings.DEPLOY_GITHUB_SETTINGS = {"username": "agency", "password": "t"}
    said = run("--sqlite", str(old_site))
    assert "1 notifications brought over" in said
    assert "2 services brought over" in said
    assert "4 deploys brought over" in said
    assert "the owner of the repository 'other' is not known" in said
    assert "1 tasks were waiting" in said
    assert "canary" not in said
    service = Service.objects.get(secret_key=KEY)
    assert (service.host, service.path, service.provider, service.branch) == ("ftp.e.com", "/www", "github", "live")
    assert (service.repository_name, service.repository_slug) == ("My Site", "agency/my-site")
    assert service.password == "canary-old"
    assert service.first_deploy == Service.FirstDeploy.ADOPT
    assert service.signature_required
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM ftp_deploy_service")
        assert all(str(stored).startswith("v1:") for (stored,) in cursor.fetchall())


def test_sets_keep_who_hears_of_what(old_site: Path) -> None:
    run("--sqlite", str(old_site))
    team = Notification.objects.get()
    assert {row.email: (row.on_success, row.on_fail) for row in team.addresses.all()} == {
        "a@e.com": (True, False), "b@e.com": (True, True), "c@e.com": (False, True),
    }  # fmt: skip
    flags = (team.commit_user_success, team.commit_user_fail, team.deploy_user_success, team.deploy_user_fail)
    assert flags == (True, True, False, True)
    assert Service.objects.get(secret_key=KEY).notification == team


def test_logs_become_deploys_that_nobody_is_told_of(old_site: Path) -> None:
    run("--sqlite", str(old_site))
    rows = {deploy.delivery_id: deploy for deploy in Deploy.objects.all()}
    assert {name: deploy.state for name, deploy in rows.items()} == {
        "2.x-1": "superseded", "2.x-2": "succeeded", "2.x-3": "failed", "2.x-4": "skipped",
    }  # fmt: skip
    push = rows["2.x-2"]
    assert (push.before, push.after, push.commit, push.branch) == ("1" * 40, "2" * 40, "2" * 40, "live")
    assert push.commits_info == [["Fix", "Builder", "2" * 40]]
    assert push.user_email == "builder@e.com"
    assert push.created_at.isoformat() == "2014-08-02T08:00:00+00:00"
    failed = rows["2.x-3"]
    assert failed.commits_info == [["One", "Designer", "3" * 40], ["Two", "designer", "4" * 40]]
    assert (failed.after, failed.error) == ("4" * 40, "550 no such file")
    assert [deploy.delivery_id for deploy in Deploy.objects.in_order()] == ["2.x-1", "2.x-2", "2.x-3", "2.x-4"]
    assert notifications.deliver_due() == 0


def test_a_second_run_changes_nothing(old_site: Path) -> None:
    run("--sqlite", str(old_site))
    Service.objects.filter(secret_key=KEY).update(host="moved.e.com")
    said = run("--sqlite", str(old_site))
    assert "0 services brought over, 2 were there already" in said
    assert "0 deploys brought over, 4 were there already" in said
    assert Service.objects.get(secret_key=KEY).host == "moved.e.com"
    assert (Service.objects.count(), Deploy.objects.count(), Notification.objects.count()) == (2, 4, 1)


def test_a_dry_run_stores_nothing(old_site: Path) -> None:
    assert "2 services brought over" in run("--sqlite", str(old_site), "--dry-run")
    assert not Service.objects.exists()
    assert not Notification.objects.exists()


def test_renamed_tables_of_the_same_database(settings: Any) -> None:
    with connection.cursor() as cursor:
        fill(cursor.execute, "old_")
        said = run("--prefix", "old_", "--owner", "agency")
    assert "2 services brought over" in said
    assert "not known" not in said
    assert set(Service.objects.values_list("repository_slug", flat=True)) == {"agency/my-site", "agency/other"}


def test_missing_columns_and_tables_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE ftp_deploy_service (id integer, ftp_host text, repo_name text)")
        database.execute("INSERT INTO ftp_deploy_service VALUES (1, 'ftp.e.com', 'site')")
        database.commit()
    assert "1 services brought over" in run("--sqlite", str(path))
    assert "0 services brought over, 1 were there" in run("--sqlite", str(path))
    service = Service.objects.get()
    assert (service.provider, service.branch, service.path, len(service.secret_key)) == ("git", "master", "/", 30)


def test_wrong_sources_are_sentences(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    text = tmp_path / "text.db"
    text.write_text("this is no database at all, only words" * 50)
    Service.objects.create(host="h", username="u", repository_slug="o/r")
    for words, expected in (
        (("--sqlite", str(tmp_path / "none.db")), "no file"),
        (("--sqlite", str(empty)), "no table ftp_deploy_service"),
        (("--sqlite", str(text)), "cannot be read"),
        (("--database", "nowhere"), "DATABASES has no"),
        ((), "is not a table of 2.x"),
    ):
        with pytest.raises(CommandError, match=expected) as caught:
            run(*words)
        assert caught.value.returncode == 2


@pytest.mark.parametrize(
    "text",
    [None, "", "[]", "3", '{"commits": 3}', '{"commits": [1, null, {}]}', '{"commits": [{"author": 5}], "ref": 1}',
     "[" * 9999,
     '{"after": {"a": 1}, "pusher": "x", "before": "' + "a" * 99 + '"}'],
)  # fmt: skip
def test_any_stored_body_is_survived(text: Any) -> None:
    push = read_payload(text)
    assert (push.after, push.before, push.commits) == ("", "", ())
