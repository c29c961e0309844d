"""A run from claim to outcome, against the in-memory server: what is live, what is recorded, what is left behind."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ftp_deploy.deploys import fetch, queue
from ftp_deploy.models import Change, Service
from tests.deploys.runs import SITE, State, live, reload, run

pytestmark = pytest.mark.django_db(transaction=True)

MOST_STATEMENTS = 43
"""Of a run with one changed file; it was 64 when nobody counted."""


def test_a_push_goes_live(service, origin, server, published) -> None:
    deploy = origin.push(SITE)
    assert run(service) == 1
    assert live(server) == SITE
    deploy = reload(deploy)
    assert (deploy.state, deploy.commit, deploy.files_total, deploy.files_done) == (
        State.SUCCEEDED,
        origin.head,
        4,
        4,
    )
    assert deploy.bytes_done == deploy.bytes_total == sum(map(len, SITE.values()))
    assert set(service.manifest) == set(SITE)
    assert fetch.live_commit(service.pk) == origin.head
    assert not Change.objects.exclude(temporary_path="").exists()
    assert ("ftp_deploy.notify", (deploy.pk,)) in published
    assert set(deploy.log_lines.values_list("level", flat=True)) == {"info"}


def test_only_what_differs_is_sent_and_what_is_gone_is_deleted_last(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.calls.clear()
    deploy = origin.push({"index.html": b"two", "css/site.css": b"body {}", "empty": b"", "new/a.txt": b"a"})
    run(service)
    assert live(server) == origin.trees[origin.head]
    deploy = reload(deploy)
    assert (deploy.files_added, deploy.files_modified, deploy.files_removed) == (1, 1, 1)
    assert "/www/old" not in server.directories
    operations = [operation for operation, _path in server.calls]
    assert operations.index("delete") > max(
        index for index, operation in enumerate(operations) if operation == "rename"
    )


def test_nothing_is_sent_where_nothing_changed(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.calls.clear()
    again = queue.deploy_now(service)
    run(service)
    assert reload(again).state == State.SUCCEEDED
    assert server.calls == []


def test_a_full_deploy_sends_everything_again(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.files["/www/index.html"] = server.files["/www/css/site.css"]
    queue.deploy_now(service, full=True)
    run(service)
    assert live(server) == SITE


def test_files_that_we_did_not_put_there_stay(service, origin, server) -> None:
    origin.push(SITE)
    run(service)
    server.files["/www/old/upload.jpg"] = server.files["/www/index.html"]
    origin.push({"index.html": b"one"})
    run(service)
    assert live(server) == {"index.html": b"one", "old/upload.jpg": b"one"}
    assert "/www/old" in server.directories


def test_waiting_pushes_become_one_run_and_each_names_it(service, origin, server) -> None:
    first, second, third = (origin.push({"a": number}) for number in (b"1", b"2", b"3"))
    assert run(service) == 1
    assert live(server) == {"a": b"3"}
    assert [reload(deploy).state for deploy in (first, second, third)] == [State.SUCCEEDED] * 3
    assert reload(first).run == reload(second).run == third
    assert origin.fetches == 1


def test_a_service_may_deploy_each_push_by_itself(service, origin, server) -> None:
    Service.objects.update(combine_pushes=False)
    for number in (b"1", b"2", b"3"):
        origin.push({"a": number})
    assert run(service) == 3
    assert live(server) == {"a": b"3"}


def test_a_run_of_one_small_push_asks_the_database_little(service, origin, server) -> None:
    """Statements are most of what a run costs a worker: a new one has to be worth a millisecond of each run."""
    origin.push(SITE)
    run(service)
    origin.push({**SITE, "index.html": b"two"})
    with CaptureQueriesContext(connection) as asked:
        assert run(service) == 1
    statements = [query["sql"] for query in asked if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    assert len(statements) <= MOST_STATEMENTS, "\n".join(statements)
