"""Bringing a 2.x site over from PostgreSQL: dumped where it ran, restored beside the new site, read from there."""

import json
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from tests.management.test_migrating import BITBUCKET, GITHUB, KEY
from tests.servers.postgresql import PostgreSQL, binary
from tests.servers.project import Project

pytestmark = pytest.mark.integration

SCHEMA = """
CREATE TABLE ftp_deploy_notification (id serial PRIMARY KEY, name varchar(50) NOT NULL, success text NOT NULL,
    fail text NOT NULL, commit_user varchar(50) NOT NULL, deploy_user varchar(50) NOT NULL,
    created timestamp with time zone NOT NULL, updated timestamp with time zone NOT NULL);
CREATE TABLE ftp_deploy_service (id serial PRIMARY KEY, ftp_host varchar(50) NOT NULL,
    ftp_username varchar(50) NOT NULL, ftp_password varchar(50) NOT NULL, ftp_path varchar(255) NOT NULL,
    repo_source varchar(10) NOT NULL,
    repo_name varchar(50) NOT NULL, repo_slug_name varchar(50) NOT NULL, repo_branch varchar(50) NOT NULL,
    repo_hook boolean NOT NULL, secret_key varchar(30) NOT NULL UNIQUE, status boolean NOT NULL,
    status_message text NOT NULL, notification_id integer REFERENCES ftp_deploy_notification (id),
    created timestamp with time zone NOT NULL, updated timestamp with time zone NOT NULL);
CREATE TABLE ftp_deploy_log (id serial PRIMARY KEY,
    service_id integer REFERENCES ftp_deploy_service (id) DEFERRABLE INITIALLY DEFERRED, payload text NOT NULL,
    "user" varchar(200) NOT NULL, created timestamp with time zone NOT NULL, status boolean NOT NULL,
    status_message text NOT NULL, skip boolean NOT NULL);
CREATE TABLE ftp_deploy_task (id serial PRIMARY KEY, name varchar(50) NOT NULL,
    service_id integer NOT NULL REFERENCES ftp_deploy_service (id), active boolean NOT NULL);
INSERT INTO ftp_deploy_notification VALUES
    (7, 'team', 'a@example.com', 'b@example.com', '1', '0,1', '2014-08-01 10:00+02', '2014-08-01 10:00+02');
INSERT INTO ftp_deploy_service VALUES
    (3, 'ftp.example.com', 'site', 'canary-old', '/www', 'gh', 'My Site', 'my-site', 'live', true, '%(key)s', true, '',
     7, '2014-08-01 10:00+02', '2014-08-01 10:00+02');
INSERT INTO ftp_deploy_task VALUES (1, 'deploy', 3, true);
"""
COUNT = """
from ftp_deploy.models import Deploy, Service
service = Service.objects.get()
team, password_read = service.notification, service.password == "canary-old"
print(service.secret_key, password_read, service.repository_slug, team.name, team.deploy_user_success)
for deploy in Deploy.objects.in_order():
    print(deploy.state, deploy.after[:1], deploy.created_at.isoformat(), deploy.user_name)
"""


@pytest.fixture
def dump(postgresql: PostgreSQL) -> bytes:
    """What ``pg_dump`` writes of a 2.x site with 500 pushes."""
    url = postgresql.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA % {"key": KEY})  # type: ignore[call-overload]
        for number in range(500):
            body, status = (GITHUB, True) if number < 499 else (BITBUCKET, False)
            values = (3, json.dumps(body), "editor", "2014-08-02 10:00+02", status, "" if status else "550 no", False)
            connection.execute(
                'INSERT INTO ftp_deploy_log (service_id, payload, "user", created, status, status_message, skip) '
                "VALUES (%s, %s, %s, %s, %s, %s, %s)",
                values,
            )
    return subprocess.run([binary("pg_dump"), "--dbname", url], check=True, capture_output=True, timeout=120).stdout


@pytest.fixture
def project(postgresql: PostgreSQL, dump: bytes) -> Iterator[Project]:
    """A new site on PostgreSQL; the old one's dump is restored into a database beside it, named ``old``."""
    old = postgresql.new_database()
    restore = [binary("psql"), "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", old]
    subprocess.run(restore, input=dump, check=True, capture_output=True, timeout=120)
    with Project(postgresql.new_database(), "memory://", DEPLOY_GITHUB_SETTINGS={"username": "agency"}) as made:
        made.variables["OLD_DATABASE_URL"] = old
        made.manage("migrate", "-v0")
        yield made


def test_a_dump_of_2_x_comes_over_whole(project: Project) -> None:
    assert "1 services brought over" in project.manage("ftp_deploy", "migrate-from-2", "--database", "old", "--dry-run")
    said = project.manage("ftp_deploy", "migrate-from-2", "--database", "old")
    assert "1 notifications brought over" in said
    assert "500 deploys brought over" in said
    assert "1 tasks were waiting" in said
    assert "canary" not in said
    service, *deploys = project.python(COUNT).splitlines()
    assert service == f"{KEY} True agency/my-site team True"
    assert deploys[0] == "succeeded 2 2014-08-02T08:00:00+00:00 editor"
    assert deploys[-1] == "failed 4 2014-08-02T08:00:00+00:00 editor"
    assert len(deploys) == 500
    again = project.manage("ftp_deploy", "migrate-from-2", "--database", "old")
    assert "0 deploys brought over, 500 were there already" in again
