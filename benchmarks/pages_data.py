"""Years of work for the pages: services, deploys and people, made by the database itself, the same on every run."""

import os
import sys

import django

LONG_LOG = 20_000
LONG_LIST = 5_000
DAYS = 730
AUDIT = 50_000

HISTORY = """
INSERT INTO ftp_deploy_deploy (
    service_id, kind, state, phase, position, provider, branch, before, after, commit, delivery_id, forced, payload,
    commits, commits_complete, user_name, user_email, compare_url, confirmed_deletes, cancel_requested, order_unknown,
    attempts, crashes, epoch, files_total, files_done, bytes_total, bytes_done, current_file, files_added,
    files_modified, files_removed, error, error_kind, advice, warnings, steps, created_at, started_at, finished_at,
    notified_at)
SELECT
    service, 'push', state, 'finishing', n, 'github', 'main', md5((n - 1)::text), md5(n::text),
    CASE WHEN state = 'succeeded' THEN md5(n::text) ELSE '' END, 'bench-' || n, false, '{}',
    commits.list, true, person, person || '@example.com', '', false, false, false,
    1, 0, n, files, files, files * 21000::bigint, files * 21000::bigint, '', files / 5,
    files - files / 5, 0, CASE WHEN state = 'succeeded' THEN '' ELSE '552 Storage allocation exceeded.' END,
    CASE WHEN state = 'succeeded' THEN '' ELSE 'StorageFull' END, '', '[]', '{}', at, at + interval '1 second',
    at + interval '1 second' * (2 + n %% 97 / 4.0), at + interval '30 seconds'
FROM (
    SELECT
        n,
        1 + floor(%(services)s * power((n * 7919::bigint %% 1000003) / 1000003.0, 3))::int AS service,
        CASE
            WHEN n %% 1000 < 935 THEN 'succeeded' WHEN n %% 1000 < 975 THEN 'restored'
            WHEN n %% 1000 < 990 THEN 'skipped' ELSE 'superseded'
        END AS state,
        1 + (n * 31 %% 60)::int AS files,
        'person-' || (n * 17 %% 60) AS person,
        now() - interval '1 day' * %(days)s * (%(deploys)s - n) / %(deploys)s - interval '1 hour' AS at
    FROM generate_series(1::bigint, %(deploys)s) AS n
) AS made
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        'id', md5(made.n || '-' || c), 'message', 'Change number ' || c || ' of the opening hours',
        'author_name', person, 'author_email', person || '@example.com', 'timestamp', '',
        'url', 'https://github.com/studio/site/commit/' || md5(made.n || '-' || c))) AS list
    FROM generate_series(1, 1 + (made.n %% 5)::int) AS c
) AS commits
ORDER BY n
"""
AUDITED = """
INSERT INTO ftp_deploy_auditentry (at, user_name, action, service_id, subject, detail)
SELECT now() - interval '10 minutes' * n, 'person-' || n %% 60, 'deploy', 1 + n %% %(services)s, 'site', '{}'
FROM generate_series(1, %(audit)s) AS n ORDER BY n DESC
"""
LOGGED = """
INSERT INTO ftp_deploy_logline (deploy_id, at, level, text)
SELECT %(deploy)s, now() - interval '1 ms' * (%(lines)s - n), 'info', 'Uploaded img/picture-' || n || '.webp (48.2 kB)'
FROM generate_series(1, %(lines)s) AS n
"""
CHANGED = """
INSERT INTO ftp_deploy_change (deploy_id, path, action, blob_id, size, mode, state, temporary_path)
SELECT %(deploy)s, 'assets/products/picture-' || n || '.webp', 'add', md5(n::text), 48200, 33188, %(state)s, ''
FROM generate_series(1, %(files)s) AS n
"""


def fill(services: int, deploys: int) -> None:
    """Fill an empty, migrated PostgreSQL database. A few services have most of the deploys, as in life."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from ftp_deploy.deploys.tallies import recount

    get_user_model().objects.create_superuser("operator", "operator@example.com", "benchmark")
    add_services(services)
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, {"services": services, "deploys": deploys, "days": DAYS})
        cursor.execute(AUDITED, {"services": services, "audit": AUDIT})
    add_present(services)
    for service in range(1, services + 1):
        recount(service)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def add_services(number: int) -> None:
    """Make the accounts, notification sets and services."""
    from ftp_deploy.models import Account, Address, Notification, Service, ServiceManifest
    from tests.server import sample

    account = Account.objects.create(name="Studio", provider="github", username="studio", token="benchmark")
    for name in range(20):
        team = Notification.objects.create(name=f"Team {name}", deploy_user_fail=True)
        Address.objects.create(notification=team, email=f"team-{name}@example.com")
    teams = list(Notification.objects.all())
    Service.objects.bulk_create(
        Service(
            pk=pk,
            repository_name=f"site-{pk}",
            repository_slug=f"studio/site-{pk}",
            account=account,
            protocol="ftps",
            host=f"ftp-{pk}.example.com",
            path="/public_html",
            username="web",
            password="benchmark",
            notification=teams[pk % len(teams)],
            status="failing" if pk % 50 == 3 else "ok",
            status_message="530 Login incorrect." if pk % 50 == 3 else "",
            checks=sample.checks("login" if pk % 50 == 3 else ""),
            checked_at="2026-01-01T00:00:00Z",
        )
        for pk in range(1, number + 1)
    )
    stored = ServiceManifest(service_id=1, commit="a" * 40)
    stored.manifest = sample.manifest()
    stored.save()


def add_present(services: int) -> None:
    """Add what happens now: deploys that failed, wait and run, one of them with a long list and a long log."""
    import random
    from datetime import timedelta

    from django.db import connection
    from django.utils import timezone

    from ftp_deploy.models import Service
    from tests.server import sample

    generator, now = random.Random(5), timezone.now()
    error = {"error": "552 Storage allocation exceeded.", "error_kind": "StorageFull", "advice": "Free some space."}
    for pk in range(2, services, max(services // 25, 1)):
        service = Service.objects.get(pk=pk)
        for hours in range(1, 4):
            sample.add_deploy(service, "failed", now - timedelta(hours=hours), generator, **error)
    for pk in range(5, min(services, 50), 9):
        sample.add_deploy(Service.objects.get(pk=pk), "queued", now, generator)
    first = Service.objects.get(pk=1)
    long_ago = sample.add_deploy(first, "succeeded", now - timedelta(hours=1), generator, files_total=LONG_LIST)
    size = {"files_total": LONG_LIST, "files_done": 2000, "bytes_total": 48200 * LONG_LIST, "bytes_done": 48200 * 2000}
    running = sample.add_deploy(first, "running", now - timedelta(minutes=1), generator, **size)
    with connection.cursor() as cursor:
        for deploy, state in ((long_ago.pk, "applied"), (running.pk, "planned")):
            cursor.execute(LOGGED, {"deploy": deploy, "lines": LONG_LOG})
            cursor.execute(CHANGED, {"deploy": deploy, "files": LONG_LIST, "state": state})


def main() -> None:
    """Fill the database of ``DATABASE_URL``: the arguments are the numbers of services and of deploys."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ftp_deploy.standalone.settings")
    django.setup()
    fill(*map(int, sys.argv[1:]))


if __name__ == "__main__":
    main()
