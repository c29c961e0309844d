"""A push is recorded once, in its place, and wakes a worker; people's requests are stored the same way."""

import itertools
import random

import pytest

from ftp_deploy.deploys import queue
from ftp_deploy.exceptions import ConfigurationError
from ftp_deploy.models import Deploy, Service
from ftp_deploy.providers.base import Commit, PushEvent

pytestmark = pytest.mark.django_db

State = Deploy.State


def push(number: int, before: int | None = None) -> PushEvent:
    """The push that moves main from commit ``before`` (the one before it) to commit ``number``."""
    return PushEvent(
        branch="main",
        before=f"{number - 1 if before is None else before:040x}",
        after=f"{number:040x}",
        commits=(Commit(id=f"{number:040x}", message=f"change {number}", author_name="Webmaster"),),
        user_name="webmaster",
        user_email="webmaster@example.com",
    )


def in_line(service: Service) -> list[str]:
    return [deploy.after for deploy in service.deploys.filter(state=State.QUEUED).in_order()]


def test_a_push_is_stored_and_wakes(service, published, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        recorded = queue.record_push(service, "delivery-1", push(1))
    assert recorded.created
    deploy = Deploy.objects.get()
    assert (deploy.state, deploy.user_email, deploy.commits_info) == (
        State.QUEUED,
        "webmaster@example.com",
        [["change 1", "Webmaster", f"{1:040x}"]],
    )
    assert published == [("ftp_deploy.run", (service.pk,))]


def test_the_same_delivery_wakes_again_and_stores_nothing(
    service, published, django_capture_on_commit_callbacks
) -> None:
    queue.record_push(service, "delivery-1", push(1))
    with django_capture_on_commit_callbacks(execute=True):
        again = queue.record_push(service, "delivery-1", push(1))
    assert (again.created, again.reason) == (False, "duplicate")
    assert Deploy.objects.count() == 1
    assert published == [("ftp_deploy.run", (service.pk,))]


def test_a_replay_under_a_new_id_has_no_effect(service) -> None:
    for number in (1, 2, 3):
        queue.record_push(service, f"delivery-{number}", push(number))
    assert not queue.record_push(service, "other", push(3)).created
    assert Deploy.objects.count() == 3


def test_a_replay_of_an_older_push_leaves_the_branch_to_decide(service) -> None:
    for number in (1, 2, 3):
        queue.record_push(service, f"delivery-{number}", push(number))
    Deploy.objects.update(state=State.SUCCEEDED)
    replayed = queue.record_push(service, "another", push(1)).deploy
    assert replayed.order_unknown
    newest = queue.newest_push(service)
    assert newest is not None
    assert newest.after == f"{3:040x}"


def test_a_replay_of_a_push_that_waits_leaves_the_branch_to_decide(service) -> None:
    for number in (1, 2, 3):
        queue.record_push(service, f"delivery-{number}", push(number))
    replayed = queue.record_push(service, "another", push(2)).deploy
    assert replayed.order_unknown
    newest = queue.newest_push(service)
    assert newest is not None
    assert newest.after == f"{3:040x}"


def test_going_back_and_forth_by_force_push_is_no_replay(service) -> None:
    for event in (push(1), push(2), push(1, before=2), push(2)):
        assert queue.record_push(service, "", event).created
    assert in_line(service) == [f"{number:040x}" for number in (1, 2, 1, 2)]
    assert not Deploy.objects.filter(order_unknown=True).exists()


def test_a_late_push_is_put_before_the_one_that_follows_it(service) -> None:
    queue.record_push(service, "a", push(1))
    queue.record_push(service, "c", push(3))
    late = queue.record_push(service, "b", push(2)).deploy
    assert in_line(service) == [f"{number:040x}" for number in (1, 2, 3)]
    assert not late.order_unknown


def test_a_push_older_than_what_is_live_leaves_the_branch_to_decide(service) -> None:
    live = queue.record_push(service, "b", push(2)).deploy
    Deploy.objects.update(state=State.SUCCEEDED)
    late = queue.record_push(service, "a", push(1)).deploy
    assert late.order_unknown
    assert queue.newest_push(service) == live


def test_a_push_after_a_gap_leaves_the_order_to_the_branch(service) -> None:
    queue.record_push(service, "a", push(1))
    assert queue.record_push(service, "c", push(5)).deploy.order_unknown


def test_what_follows_a_late_push_may_be_older_than_what_is_live(service) -> None:
    queue.record_push(service, "d", push(4))
    Deploy.objects.update(state=State.SUCCEEDED, commit=push(4).after)
    late = queue.record_push(service, "b", push(2)).deploy
    Deploy.objects.filter(pk=late.pk).update(state=State.SUPERSEDED)
    assert Deploy.objects.get(pk=queue.record_push(service, "c", push(3)).deploy.pk).order_unknown


def test_what_follows_a_push_that_proved_to_be_the_head_is_in_order(service) -> None:
    queue.record_push(service, "a", push(1))
    gap = queue.record_push(service, "c", push(3)).deploy
    Deploy.objects.filter(pk=gap.pk).update(state=State.SUCCEEDED, commit=push(3).after)
    assert gap.order_unknown
    assert not Deploy.objects.get(pk=queue.record_push(service, "d", push(4)).deploy.pk).order_unknown


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_of_arrival_each_push_is_stored_once(service, seed) -> None:
    order = [*range(1, 6), *random.Random(seed).choices(range(1, 6), k=3)]
    random.Random(seed).shuffle(order)
    for number in order:
        queue.record_push(service, f"delivery-{number}", push(number))
    assert sorted(Deploy.objects.values_list("after", flat=True)) == [f"{number:040x}" for number in range(1, 6)]
    for first, second in itertools.pairwise(Deploy.objects.filter(state=State.QUEUED).in_order()):
        assert first.position < second.position
        known_chain = Deploy.objects.filter(before=first.after, order_unknown=False).first()
        assert known_chain is None or known_chain.position > first.position


def test_a_service_that_is_off_takes_no_request(service) -> None:
    service.enabled = False
    with pytest.raises(ConfigurationError, match="turned off"):
        queue.deploy_now(service)


def test_retry_only_what_failed(service) -> None:
    deploy = queue.record_push(service, "a", push(1)).deploy
    with pytest.raises(ConfigurationError, match="has not failed"):
        queue.retry(deploy)
    deploy.state = State.FAILED
    deploy.save()
    again = queue.retry(deploy)
    assert (again.kind, again.after, again.commits) == (Deploy.Kind.MANUAL, deploy.after, deploy.commits)


def test_confirming_deletes_needs_a_deploy_that_asked(service) -> None:
    deploy = queue.record_push(service, "a", push(1)).deploy
    with pytest.raises(ConfigurationError, match="delete limit"):
        queue.confirm_deletes(deploy)
    Deploy.objects.update(state=State.FAILED, error_kind="TooManyDeletes")
    deploy.refresh_from_db()
    assert queue.confirm_deletes(deploy).confirmed_deletes


def test_cancel_a_waiting_deploy_at_once_and_a_running_one_before_its_switch(service) -> None:
    deploy = queue.record_push(service, "a", push(1)).deploy
    queue.cancel(deploy)
    deploy.refresh_from_db()
    assert deploy.state == State.CANCELLED
    Deploy.objects.update(state=State.RUNNING, phase=Deploy.Phase.UPLOADING)
    queue.cancel(deploy)
    deploy.refresh_from_db()
    assert deploy.cancel_requested
    Deploy.objects.update(phase=Deploy.Phase.SWITCHING)
    with pytest.raises(ConfigurationError, match="no longer"):
        queue.cancel(deploy)
