"""One holder at a time, by the database's clock; a holder that lost the lease notices."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ftp_deploy.deploys import lease as leases
from ftp_deploy.exceptions import DeployCancelled, LeaseLost, WorkerStopping
from ftp_deploy.models import LeaseEvent, Service

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_one_claim_wins_and_the_epoch_grows(service) -> None:
    first = leases.claim(service.pk)
    assert first is not None
    assert leases.claim(service.pk) is None
    first.release()
    second = leases.claim(service.pk)
    assert second is not None
    assert second.epoch == first.epoch + 1
    assert list(LeaseEvent.objects.values_list("epoch", "event")) == [(1, "begin"), (1, "end"), (2, "begin")]


def test_an_expired_lease_is_taken_over_and_the_old_holder_notices(service) -> None:
    old = leases.claim(service.pk)
    assert old is not None
    Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    new = leases.claim(service.pk)
    assert new is not None
    with pytest.raises(LeaseLost):
        old.beat()
    with pytest.raises(LeaseLost):
        old.guard()
    with pytest.raises(LeaseLost):
        old.must_hold()
    old.release()
    assert Service.objects.get().lease_owner == new.owner
    new.beat()


def test_an_expired_lease_cannot_be_prolonged_even_if_nobody_took_it(service) -> None:
    held = leases.claim(service.pk)
    assert held is not None
    Service.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    with pytest.raises(LeaseLost):
        held.beat()


def test_a_holder_that_slept_stops_by_its_own_clock(service, monkeypatch) -> None:
    held = leases.claim(service.pk)
    assert held is not None
    held.guard()
    now = leases.time.monotonic()
    monkeypatch.setattr(leases.time, "monotonic", lambda: now + 100)
    with pytest.raises(LeaseLost):
        held.guard()


def test_signs_of_life_are_given_from_a_thread(service, settings) -> None:
    settings.FTP_DEPLOY_HEARTBEAT_SECONDS = 0.05
    held = leases.claim(service.pk)
    assert held is not None
    until = Service.objects.get().lease_until
    beaten = threading.Event()
    beat = held.beat
    held.beat = lambda: (beat(), beaten.set())  # type: ignore[method-assign]
    with held:
        assert beaten.wait(20)
    assert until is not None
    assert Service.objects.get().lease_until is None


def test_guard_says_what_was_asked(service) -> None:
    asked = False
    held = leases.claim(service.pk, lambda: asked)
    assert held is not None
    held.cancel()
    with pytest.raises(DeployCancelled):
        held.guard()
    held.new_deploy()
    asked = True
    with pytest.raises(WorkerStopping):
        held.guard()
    held.must_hold()


def test_files_under_way_are_given_time_when_the_worker_stops(service) -> None:
    patient, hasty = leases.claim(service.pk, lambda: True, 3600), leases.Lease(service.pk, "x", 1, lambda: True, -1)
    assert patient is not None
    assert patient.stopping()
    patient.guard_files()
    with pytest.raises(WorkerStopping):
        patient.guard()
    with pytest.raises(WorkerStopping):
        hasty.guard_files()
    patient.cancel()
    with pytest.raises(DeployCancelled):
        patient.guard_files()
    patient._lost = True
    with pytest.raises(LeaseLost):
        patient.guard_files()


def test_many_claims_at_once_have_one_winner(service) -> None:
    barrier = threading.Barrier(8)
    won = []

    def try_claim() -> None:
        try:
            barrier.wait(20)
            won.append(leases.claim(service.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=try_claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len([lease for lease in won if lease]) == 1
    assert len(won) == 8
