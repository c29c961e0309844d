"""Messages to workers: one that cannot be sent costs a line in the log, and never the push that it tells of."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ftp_deploy.deploys import wakeup
from ftp_deploy.deploys.wakeup import RUN, Announcer, Publisher


class App:
    """Stands in for the Celery app: takes messages, or behaves as a broker in trouble does."""

    def __init__(self, *, eager: bool = False) -> None:
        self.conf = SimpleNamespace(task_always_eager=eager)
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: Exception | None = None
        self.tasks = {RUN: SimpleNamespace(apply=lambda args: self.sent.append((RUN, args, {"eager": True})))}

    def send_task(self, name: str, args: Any, **options: Any) -> None:
        assert self.may_go_on.wait(60)
        if self.error:
            raise self.error
        self.sent.append((name, args, options))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    made = App()
    monkeypatch.setattr(wakeup, "current_app", SimpleNamespace(_get_current_object=lambda: made))
    return made


def test_a_message_names_a_row_and_where_it_is_to_go(app: App) -> None:
    assert Publisher().send(RUN, 7, queue="slow")
    assert app.sent == [(RUN, (7,), {"retry": False, "ignore_result": True, "queue": "slow"})]


def test_a_broker_that_refuses_is_logged_by_the_kind_of_error_alone(app: App, caplog) -> None:
    """Its words may hold the broker's address, and with it a password."""
    app.error = ConnectionRefusedError("amqp://user:canary@host")
    publisher = Publisher()
    assert not publisher.send(RUN, 7)
    assert publisher.failures == 1
    assert "ConnectionRefusedError" in caplog.text
    assert "canary" not in caplog.text


def test_a_broker_that_does_not_answer_holds_nobody_up(app: App, settings, caplog) -> None:
    """After some messages that hang no further one is tried until one of them comes back."""
    settings.FTP_DEPLOY_PUBLISH_SECONDS = 0.01
    app.may_go_on.clear()
    publisher = Publisher()
    for _ in range(wakeup.STUCK_LIMIT):
        assert not publisher.send(RUN, 7)
    assert not publisher.send(RUN, 8)
    assert publisher.failures == wakeup.STUCK_LIMIT + 1
    assert "the broker does not answer" in caplog.text
    assert "earlier messages are still on their way" in caplog.text
    app.may_go_on.set()
    settings.FTP_DEPLOY_PUBLISH_SECONDS = 60
    for _ in range(6000):
        if publisher.send(RUN, 9):
            break
        threading.Event().wait(0.01)
    assert (RUN, (9,), {"retry": False, "ignore_result": True}) in app.sent


def test_a_project_without_workers_runs_what_it_is_told(app: App) -> None:
    app.conf.task_always_eager = True
    publisher = Publisher()
    assert publisher.send(RUN, 7)
    Announcer(publisher).announce(8)
    assert app.sent == [(RUN, (7,), {"eager": True}), (RUN, (8,), {"eager": True})]


def test_the_record_of_what_was_told_does_not_grow_for_ever() -> None:
    announcer = Announcer(Publisher())
    announcer._told = dict.fromkeys(range(2000), 0.0) | {5000: 9.9}
    announcer._forget(10.0)
    assert announcer._told == {5000: 9.9}
