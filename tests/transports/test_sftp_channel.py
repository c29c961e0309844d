"""One SFTP session, fed with what a server may not send: each wait ends, and the session is not trusted further."""

import asyncio
import gc
import struct
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ftp_deploy.transports.sftp_channel import SFTPChannel, forget
from ftp_deploy.transports.sftp_hashes import offers_hashes
from ftp_deploy.transports.sftp_protocol import Attributes, Kind, ProtocolBroken, Status, StatusError, string


class Line:
    """Stands in for asyncssh's channel: keeps what was written, and may be broken."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.broken = False

    def write(self, data: bytes) -> None:
        if self.broken:
            raise OSError(32, "Broken pipe")
        self.written += data

    def close(self) -> None:
        self.closed = True


def packet(kind: int, *fields: bytes) -> bytes:
    body = bytes([kind]) + b"".join(fields)
    return struct.pack(">I", len(body)) + body


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def status(request: int, code: int, words: bytes = b"") -> bytes:
    return packet(Kind.STATUS, number(request), number(code), string(words), string(b"en"))


def talking(work: Callable[[SFTPChannel, Line], Awaitable[Any]]) -> Any:
    """Run ``work`` with a channel in an event loop of its own; a browser of other tests may have one in this thread."""

    async def run() -> Any:
        channel, line = SFTPChannel(), Line()
        channel.connection_made(line)  # type: ignore[arg-type]
        return await work(channel, line)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asyncio.wait_for(run(), 60)).result()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (packet(Kind.ATTRIBUTES, number(1), Attributes(1).encode()), "wrong kind of packet"),
        (status(1, Status.OK), "said OK where it had to answer"),
        (packet(Kind.NAME, number(1), number(0)), "gave no absolute path"),
    ],
    ids=["another kind", "OK", "no name"],
)
def test_a_wrong_answer_ends_its_request_alone(answer: bytes, words: str) -> None:
    async def work(channel: SFTPChannel, line: Line) -> None:
        asked = channel.real_path(b".")
        channel.data_received(answer, None)
        with pytest.raises(ProtocolBroken, match=words):
            await asked
        assert not channel.ask(Kind.CLOSE).done(), "the session goes on"

    talking(work)


def test_an_answer_to_nothing_ends_the_session() -> None:
    async def work(channel: SFTPChannel, line: Line) -> None:
        asked = channel.real_path(b".")
        channel.data_received(status(99, Status.OK), None)
        for waiting in (asked, channel.real_path(b".")):
            with pytest.raises(ProtocolBroken, match="never sent"):
                await waiting
        assert line.closed

    talking(work)


def test_an_answer_that_nobody_waits_for_any_more_is_passed_over() -> None:
    async def work(channel: SFTPChannel, line: Line) -> None:
        given_up, wanted = channel.remove(b"a"), channel.remove(b"b")
        given_up.cancel()
        forget(given_up)
        channel.data_received(status(1, Status.OK) + status(2, Status.NO_SUCH_FILE, b"gone"), None)
        with pytest.raises(StatusError, match="gone"):
            await wanted
        assert channel.waiting == 0

    talking(work)


def test_what_the_server_says_aside_is_no_answer() -> None:
    """Its error channel carries words of login scripts."""

    async def work(channel: SFTPChannel, line: Line) -> None:
        asked = channel.remove(b"a")
        channel.data_received(b"Welcome!\n" * 100, 1)
        channel.data_received(status(1, Status.OK), None)
        assert await asked is None

    talking(work)


@pytest.mark.parametrize("end", ["end of output", "broken line"])
def test_a_session_that_ends_ends_all_waits(end: str) -> None:
    async def work(channel: SFTPChannel, line: Line) -> None:
        line.broken = end == "broken line"
        asked = channel.remove(b"a")
        if not line.broken:
            await asyncio.sleep(0)
            assert channel.eof_received() is False
        with pytest.raises(OSError if line.broken else EOFError):
            await asked
        heard: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
        assert channel.remove(b"b").done()
        gc.collect()
        assert heard == [], "a request that nobody waits for any more is no news"
        assert line.closed

    talking(work)


@pytest.mark.parametrize(
    ("extensions", "answer", "offered"),
    [
        ({"check-file": "1"}, b"", True),
        ({}, status(1, Status.UNSUPPORTED), False),
        ({}, status(1, Status.FAILURE, b"a directory"), True),
        ({}, packet(Kind.EXTENDED_REPLY, number(1), string(b"sha256"), bytes(32)), True),
        ({}, packet(Kind.EXTENDED_REPLY, number(1), string(b"md5"), bytes(16)), False),
    ],
    ids=["listed", "unsupported", "another error", "a hash", "another hash"],
)
def test_whether_a_server_can_hash(extensions: dict[str, str], answer: bytes, offered: bool) -> None:
    async def work(channel: SFTPChannel, line: Line) -> bool:
        channel.extensions = extensions
        asked = asyncio.ensure_future(offers_hashes(channel, "SSH-2.0-Other", b"/www"))
        await asyncio.sleep(0)
        channel.data_received(answer, None)
        return await asked

    assert talking(work) is offered
