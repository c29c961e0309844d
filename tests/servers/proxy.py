"""A TCP proxy that misbehaves on request: delays, hangs, cuts, resets. One event loop in a thread of its own."""

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

BLOCK = 65536
TO_SERVER, TO_CLIENT = "to server", "to client"
Watch = Callable[[str, bytes], None]
"""Called with the direction and the data, before they are passed on."""


class Proxy:
    """Listens on a free loopback port and passes on to ``port``. The methods may be called from any thread."""

    def __init__(self, port: int, *, delay: float = 0.0, rate: float = 0.0) -> None:
        self.target = port
        self.delay = delay
        """Seconds that every byte is under way, in each direction; what is sent meanwhile is not held up."""
        self.rate = rate
        """Bytes per second and direction of each connection; 0: no limit."""
        self.port = 0
        self.connections = 0
        self.watch: Watch | None = None
        self._cuts: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def hang(self) -> None:
        """From now on take connections and bytes, and pass nothing on: a black hole."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def resume(self) -> None:
        """End ``hang`` and ``refuse``; what was held up goes on."""
        self._refusing = False
        self._loop.call_soon_threadsafe(self._passing.set)

    def refuse(self) -> None:
        """From now on reset every new connection, and those that are open."""
        self._refusing = True
        self.reset()

    def reset(self) -> None:
        """Reset the open connections on both sides."""
        self._run(self._reset())

    def cut_after(self, count: int, direction: str = TO_SERVER) -> None:
        """Reset once so many more bytes were passed on in a direction, over all connections."""
        self._cuts[direction] = count

    def _run(self, work: object) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type, return-value]

    async def _listen(self, port: int = 0, *, once: bool = False) -> int:
        """Listen on a free port for ``port``; for 0, for ``target`` as it is when somebody connects."""

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if once:
                server.close()
                self._servers.remove(server)
            with suppress(asyncio.CancelledError):  # the proxy is being closed
                await self._join(reader, writer, port or self.target)

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self.connections += 1
        self._writers.add(writer)
        if self._refusing:
            abort(writer)
            return
        try:
            await self._passing.wait()
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            abort(writer)
            return
        self._writers.add(server_writer)
        both = [
            asyncio.ensure_future(self._pump(reader, server_writer, TO_SERVER)),
            asyncio.ensure_future(self._pump(server_reader, writer, TO_CLIENT)),
        ]
        await asyncio.gather(*both, return_exceptions=True)
        for end in (writer, server_writer):
            self._writers.discard(end)
            end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        """Read as it comes, write when its time has come: a delay does not make the line narrower."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
        sender = asyncio.ensure_future(self._send(queue, writer, direction))
        try:
            while data := await reader.read(BLOCK):
                await queue.put((self._loop.time() + self.delay, data))
        except OSError:
            abort(writer)
        await queue.put((self._loop.time() + self.delay, b""))
        await sender

    async def _send(
        self, queue: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter, direction: str
    ) -> None:
        with suppress(OSError, RuntimeError):
            while True:
                due, data = await queue.get()
                await self._passing.wait()
                if (early := due - self._loop.time()) > 0:
                    await asyncio.sleep(early)
                if not data:
                    writer.write_eof()
                    return
                if self.watch:
                    await self._loop.run_in_executor(None, self.watch, direction, data)
                writer.write(await self._changed(data, direction))
                await writer.drain()
                if self._is_cut(len(data), direction):
                    await self._reset()
                    return
                if self.rate:
                    await asyncio.sleep(len(data) / self.rate)
        while (await queue.get())[1]:
            pass

    def _is_cut(self, count: int, direction: str) -> bool:
        if direction not in self._cuts:
            return False
        self._cuts[direction] -= count
        if self._cuts[direction] > 0:
            return False
        del self._cuts[direction]
        return True

    async def _changed(self, data: bytes, direction: str) -> bytes:
        return data

    async def _reset(self) -> int:
        for writer in list(self._writers):
            abort(writer)
        self._writers.clear()
        return 0

    async def _close(self) -> int:
        self._passing.set()
        for server in self._servers:
            server.close()
        await asyncio.sleep(0.05)  # what was accepted just now shows up
        await self._reset()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reset()
        await asyncio.sleep(0.05)  # aborted connections close their sockets in the loop's next turns
        return 0


class FTPProxy(Proxy):
    """Stands before an FTP server; its data connections go through here as well.

    The ports in 227 and 229 replies (RFC 959, RFC 2428) are replaced by ports of our own.
    """

    async def _changed(self, data: bytes, direction: str) -> bytes:
        if direction == TO_CLIENT and (found := EXTENDED.search(data)):
            port = await self._listen(int(found[1]), once=True)
            return data[: found.start(1)] + str(port).encode() + data[found.end(1) :]
        if direction == TO_CLIENT and (found := PASSIVE.search(data)):
            port = await self._listen(int(found[1]) * 256 + int(found[2]), once=True)
            given = b"%d,%d" % divmod(port, 256)
            return data[: found.start(1)] + given + data[found.end(2) :]
        return data


EXTENDED = re.compile(rb"^229 [^\r\n]*\(\|\|\|(\d+)\|\)", re.MULTILINE)
PASSIVE = re.compile(rb"^227 [^\r\n]*\(\d+,\d+,\d+,\d+,(\d+),(\d+)\)", re.MULTILINE)


def abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset instead of an orderly end (``SO_LINGER`` 0)."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
