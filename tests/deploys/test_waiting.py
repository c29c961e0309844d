"""A run that has to stop does not wait for those who do not answer."""

import threading

import pytest

from ftp_deploy.deploys.waiting import wait_for
from ftp_deploy.exceptions import WorkerStopping


def go_on() -> None:
    """Nothing stops the run."""


def stop() -> None:
    raise WorkerStopping


def test_what_work_returns_and_raises_comes_back() -> None:
    assert wait_for(lambda: 7, go_on) == 7
    with pytest.raises(TimeoutError, match="its own"):
        wait_for(raises_its_own, go_on)


def raises_its_own() -> None:
    raise TimeoutError("its own")


def test_work_that_takes_too_long_is_left_and_its_result_thrown_away() -> None:
    answered, thrown_away = threading.Event(), threading.Event()
    results = []

    def work() -> str:
        assert answered.wait(60)
        return "late"

    def discard(result: str) -> None:
        results.append(result)
        thrown_away.set()

    with pytest.raises(WorkerStopping):
        wait_for(work, stop, discard)
    assert not results
    answered.set()
    assert thrown_away.wait(60)
    assert results == ["late"]
