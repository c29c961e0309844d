"""The short way of a push into the line: one statement without a lock, and the same row as the long way makes."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from ftp_deploy.deploys import queue
from ftp_deploy.deploys.append import append
from ftp_deploy.models import Deploy, Service
from ftp_deploy.providers.base import Commit, PushEvent

pytestmark = pytest.mark.django_db(transaction=True)


def push(number: int, before: int | None = None, **further: Any) -> PushEvent:
    return PushEvent(
        branch="main",
        before=f"{number - 1 if before is None else before:040x}",
        after=f"{number:040x}",
        commits=(
            Commit(
                f"{number:040x}", 'it\'s 100 % "done" \\ ☃', "Builder", "builder@example.com", "2026-01-01", "https://x"
            ),
        ),
        user_name="builder",
        user_email="builder@example.com",
        compare_url="https://forge.example.com/compare",
        **further,
    )


def in_parallel(*works: Callable[[], Any]) -> None:
    """Run all of them at once, each in a thread, and raise what one of them raised."""
    barrier, failures = threading.Barrier(len(works)), []

    def run(work: Callable[[], Any]) -> None:
        try:
            barrier.wait(60)
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if failures:
        raise failures[0]


def test_a_push_that_follows_is_one_statement(service: Service) -> None:
    queue.record_push(service, "a", push(1))
    with CaptureQueriesContext(
        connection,
    ) as captured:
        recorded = queue.record_push(service, "b", push(2))
    assert recorded.created
    assert len(captured) == 1, captured.captured_queries


@pytest.mark.parametrize("further", [{}, {"forced": True, "complete": False}], ids=["plain", "forced and cut"])
def test_both_ways_make_the_same_row(
    service: Service, monkeypatch: pytest.MonkeyPatch, further: dict[str, Any]
) -> None:
    queue.record_push(service, "a", push(1))
    short = queue.record_push(service, "b", push(2, **further)).deploy
    row = Deploy.objects.filter(pk=short.pk).values().get()
    Deploy.objects.filter(pk=short.pk).delete()
    monkeypatch.setattr(queue, "append", lambda *_: None)
    long = queue.record_push(service, "b", push(2, **further)).deploy
    other = Deploy.objects.filter(pk=long.pk).values().get()
    assert row["steps"].keys() == other["steps"].keys()
    assert (row["turn"], row["position"]) == (2, 2.0)
    apart = ("id", "created_at", "steps")
    assert {**row, **dict.fromkeys(apart)} == {**other, **dict.fromkeys(apart)}
    assert model_to_dict(Deploy.objects.get(pk=long.pk))["commits"] == row["commits"]


@pytest.mark.parametrize(
    ("delivery", "event"),
    [("a", push(2)), ("c", push(1)), ("c", push(5)), ("c", push(1, before=1))],
    ids=["the same delivery", "the same move", "a gap", "a move to where it was"],
)
def test_what_is_not_plain_is_left_to_the_long_way(service: Service, delivery: str, event: PushEvent) -> None:
    queue.record_push(service, "a", push(1))
    assert append(service, delivery, event) is None
    assert Deploy.objects.count() == 1


def test_behind_a_push_of_unknown_order_the_long_way_is_taken(service: Service) -> None:
    queue.record_push(service, "a", push(1))
    queue.record_push(service, "c", push(5))
    assert append(service, "d", push(6)) is None


def test_rows_of_other_services_and_without_a_turn_do_not_count(service: Service) -> None:
    other = Service.objects.create(host="other.example.com", username="u", repository_slug="o/r")
    Deploy.objects.create(service=other, turn=7, position=9, after=f"{9:040x}", delivery_id="a", branch="main")
    Deploy.objects.create(service=service, position=5, after=f"{1:040x}")
    assert append(service, "a", push(2)) is None
    first = queue.record_push(service, "a", push(2)).deploy
    assert (first.turn, first.position, first.order_unknown) == (1, 6.0, False)
    second = append(service, "b", push(3))
    assert second is not None
    assert (second.turn, second.position) == (2, 7.0)


def test_behind_a_row_that_was_stored_later_the_long_way_is_taken(service: Service) -> None:
    for number in (1, 2, 3):
        queue.record_push(service, f"d{number}", push(number))
    late = service.deploys.get(turn=2)
    Deploy.objects.filter(pk=late.pk).update(turn=9)  # as if it was put before the end, and rows after it are gone
    assert append(service, "e", push(4)) is None
    assert queue.record_push(service, "e", push(4)).deploy.turn == 10
    assert append(service, "f", push(5)) is not None


def test_behind_what_a_person_asked_for_the_long_way_is_taken(service: Service) -> None:
    queue.record_push(service, "a", push(1))
    queue.deploy_now(service)
    assert append(service, "b", push(2)) is None
    deploy = queue.record_push(service, "b", push(2)).deploy
    assert (deploy.turn, deploy.position, deploy.order_unknown) == (3, 3.0, False)


def test_the_same_push_many_times_at_once_is_stored_once(service: Service) -> None:
    queue.record_push(service, "a", push(1))
    answers: list[queue.Recorded] = []
    in_parallel(*[lambda n=n: answers.append(queue.record_push(service, f"b{n % 3}", push(2))) for n in range(9)])
    assert sorted(answer.created for answer in answers) == [False] * 8 + [True]
    assert {answer.deploy.pk for answer in answers} == {Deploy.objects.latest("pk").pk}
    assert Deploy.objects.count() == 2


def test_many_pushes_at_once_are_all_stored_in_the_order_of_the_chain(service: Service) -> None:
    queue.record_push(service, "a", push(1))
    in_parallel(*[lambda n=n: queue.record_push(service, f"b{n}", push(n)) for n in range(2, 10)])
    line = list(service.deploys.in_order())
    assert [deploy.after for deploy in line] == [f"{number:040x}" for number in range(1, 10)]
    assert sorted(deploy.turn or 0 for deploy in line) == list(range(1, 10))


def test_what_a_person_asks_for_is_looked_at_again_when_a_push_comes_in_between(service: Service) -> None:
    failed = queue.record_push(service, "a", push(1)).deploy
    Deploy.objects.update(state=Deploy.State.FAILED)
    failed = Deploy.objects.get(pk=failed.pk)
    seen: list[str] = []

    def look() -> dict[str, Any]:
        seen.append(queue.commit_since(service, failed))
        if len(seen) == 1 and connection.vendor != "sqlite":  # SQLite lets nobody else write meanwhile
            in_parallel(lambda: queue.record_push(service, "b", push(2)))
        return {"after": seen[-1]}

    made = queue.add_in_turn(service, Deploy.Kind.MANUAL, None, look)
    newest = queue.newest_push(service)
    assert newest is not None
    assert made.after == newest.after
    assert made.position > newest.position
    assert len(seen) == (1 if connection.vendor == "sqlite" else 2)
