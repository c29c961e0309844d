"""The broker of files: messages that several processes write and read at once."""

import json
import threading
from queue import Empty

import pytest
from kombu import Connection

from ftp_deploy import filebroker


@pytest.fixture
def connect(tmp_path):
    filebroker.register()
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
    }
    opened = []

    def make():
        connection = Connection(f"{filebroker.SCHEME}://", transport_options=options)
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        connection.release()


def take(queue):
    try:
        return queue.get(block=False).payload
    except Empty:
        return None


def test_messages_come_in_order_and_leave_nothing(connect, tmp_path):
    queue = connect().SimpleQueue("jobs")
    for number in range(20):
        queue.put({"number": number})
    reader = connect().SimpleQueue("jobs")
    got = []
    for _ in range(20):
        message = reader.get(timeout=10)
        got.append(message.payload["number"])
        message.ack()
    assert got == list(range(20))
    assert take(reader) is None
    assert not list((tmp_path / "messages").iterdir())
    queue.close()
    reader.close()


# Each test has a queue of its own: kombu remembers in the process which queues it has declared.


def test_a_damaged_message_is_dropped(connect, tmp_path):
    queue = connect().SimpleQueue("damaged")
    queue.put({"good": True})
    (tmp_path / "messages" / "0_damaged.damaged.msg").write_text("")
    (tmp_path / "messages" / "1_damaged.damaged.msg").write_text("{")
    (tmp_path / "messages" / ".half.damaged.msg.new").write_text("{")
    message = queue.get(timeout=10)
    assert message.payload == {"good": True}
    message.ack()
    assert take(queue) is None
    queue.close()


def test_every_message_is_taken_once_by_many_readers(connect):
    writer = connect().SimpleQueue("many")
    done, lock, stop = [], threading.Lock(), threading.Event()

    def read():
        queue = connect().SimpleQueue("many")
        while not stop.is_set():
            try:
                message = queue.get(timeout=0.2)
            except Empty:
                continue
            message.ack()
            with lock:
                done.append(message.payload["number"])
        queue.close()

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(200):
        writer.put({"number": number})
    waiting = threading.Event()
    for _ in range(600):
        if len(done) >= 200:
            break
        waiting.wait(0.1)
    stop.set()
    for reader in readers:
        reader.join(30)
    writer.close()
    assert sorted(done) == list(range(200))


def test_a_half_written_table_is_read_again(connect, tmp_path):
    channel = connect().channel()
    table = tmp_path / "control" / "jobs.exchange"
    table.write_text("")
    timer = threading.Timer(0.2, table.write_text, (json.dumps([["key", "", "jobs"]]),))
    timer.start()
    assert [row.queue for row in channel.get_table("jobs")] == ["jobs"]
    timer.join()
