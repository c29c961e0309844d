import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from ftp_deploy.deploys.one_writer import one_writer, start_anew

pytestmark = pytest.mark.django_db(transaction=True)
sqlite_alone = pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases have many writers")


@sqlite_alone
def test_the_threads_of_a_process_write_one_after_the_other() -> None:
    begun, inside = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        with one_writer("default"):
            inside.set()

    with ThreadPoolExecutor(1) as pool:
        with one_writer("default"):
            second = pool.submit(write)
            assert begun.wait(30)
            assert not inside.wait(0.2)
        second.result(30)
    assert inside.is_set()


@sqlite_alone
def test_who_is_in_a_transaction_waits_for_nobody() -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with one_writer("default"):
            held.set()
            release.wait(60)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert held.wait(30)
        with transaction.atomic(), one_writer("default"):
            assert not holding.done()
        release.set()
        holding.result(30)


@sqlite_alone
def test_a_forked_process_does_not_wait_for_its_parent() -> None:
    with one_writer("default"):
        start_anew()
        with one_writer("default"):
            pass
