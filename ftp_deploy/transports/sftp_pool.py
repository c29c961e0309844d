"""The connections of one SFTP transport, and how an operation is tried again on a fresh one."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncssh

from ftp_deploy.exceptions import ConnectionFailed, TooManyConnections, TransportError
from ftp_deploy.transports.addresses import Address
from ftp_deploy.transports.base import Target
from ftp_deploy.transports.sftp_channel import SFTPChannel
from ftp_deploy.transports.sftp_connection import Session, open_session
from ftp_deploy.transports.sftp_errors import FAILURES, translate

T = TypeVar("T")

ATTEMPTS = 4
"""How often one operation is tried that the server failed without saying that it is for good."""
FRUITLESS_CONNECTIONS = 4
"""How many connections in a row may end without one finished operation before we give up."""
LOST_ATTEMPTS = 12
"""How many connections one operation may lose before it counts as the cause."""
BACK_OFF_SECONDS = 0.5
"""Before the second attempt; doubled before each further one, with some chance added so that workers do not march."""
BYTES_IN_FLIGHT = 4 * 1024 * 1024
"""Data on its way in one connection: twice the window that OpenSSH gives, so that it never runs dry."""


class Budget:
    """A number of bytes that may be under way; those who want more wait their turn."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()

    async def take(self, count: int) -> None:
        """Wait until ``count`` more bytes may be under way."""
        if not self._queue and self._fits(count):
            self._used += count
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, count))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(count)
            raise

    def give(self, count: int) -> None:
        """Say that ``count`` bytes have arrived."""
        self._used -= count
        while self._queue and (self._queue[0][0].cancelled() or self._fits(self._queue[0][1])):
            turn, wanted = self._queue.popleft()
            if not turn.cancelled():
                self._used += wanted
                turn.set_result(None)

    def _fits(self, count: int) -> bool:
        return self._used == 0 or self._used + count <= self._size


class Lane:
    """One connection in use: its session, its share of bytes in flight, and a watch over its silence."""

    def __init__(self, session: Session, reply_timeout: float) -> None:
        self.session = session
        self.channel: SFTPChannel = session.channel
        self.budget = Budget(BYTES_IN_FLIGHT)
        self.users = 0
        """Operations that use it now."""
        self.lost = False
        self._reply_timeout = reply_timeout
        self._watch = asyncio.create_task(self._watch_silence())

    async def _watch_silence(self) -> None:
        """Drop the connection when requests wait and nothing at all comes back for the reply time-out."""
        while True:
            await asyncio.sleep(min(1.0, self._reply_timeout / 4))
            silent = time.monotonic() - self.channel.answered_at
            if self.channel.waiting and silent > self._reply_timeout:
                self.channel.fail(TimeoutError(f"no answer for {self._reply_timeout:.0f} seconds"))
                self.session.abort()
                return

    def drop(self) -> None:
        """End the connection at once."""
        self.lost = True
        self._watch.cancel()
        self.session.abort()

    async def close(self) -> None:
        """End the connection in good order."""
        self.lost = True
        self._watch.cancel()
        await self.session.close()


class Pool:
    """The lanes of one transport. Use from its event loop only."""

    def __init__(self, target: Target, addresses: Sequence[Address], key: asyncssh.SSHKey | None) -> None:
        self.target = target
        self.messages: deque[str] = deque(maxlen=100)
        """Lines for the deploy's log."""
        self._addresses = addresses
        self._key = key
        self._lanes: list[Lane] = []
        self._connecting = asyncio.Lock()
        self._fruitless = 0
        self._last_failure: TransportError = ConnectionFailed(f"Connecting to {target.host}: no connection.")
        self._refused: TransportError | None = None

    async def lane(self) -> Lane:
        """Return the connection with the least to do; open one where there is none.

        Raises the error of the last connection where too many in a row came to nothing.
        """
        if not (alive := self.alive):
            async with self._connecting:
                if not (alive := self.alive):
                    alive = [await self._connect()]
        return min(alive, key=lambda lane: lane.users)

    @property
    def alive(self) -> list[Lane]:
        """The connections that can be used."""
        return [lane for lane in self._lanes if not lane.lost]

    async def open_first(self) -> Lane:
        """Open the first connection, with one try only."""
        async with self._connecting:
            lane = await self._open()
            self._lanes = [*self.alive, lane]
            return lane

    async def grow(self, count: int) -> int:
        """Open connections until there are ``count``; return how many there are. A refused further one is no error."""
        async with self._connecting:
            while len(self.alive) < count:
                try:
                    self._lanes.append(await self._open())
                except TransportError as error:
                    if not error.transient:
                        raise
                    break
            return len(self.alive)

    async def _connect(self) -> Lane:
        """Open a connection, with back-off after failures. Give up at once where a further try cannot help."""
        while True:
            if self._refused:
                raise self._refused
            if self._fruitless >= FRUITLESS_CONNECTIONS:
                raise self._last_failure
            if self._fruitless:
                await asyncio.sleep(back_off(self._fruitless))
            self._fruitless += 1
            try:
                lane = await self._open()
            except (ConnectionFailed, TooManyConnections) as error:
                self._last_failure = error
                continue
            self._lanes = [*self.alive, lane]
            return lane

    async def _open(self) -> Lane:
        try:
            session = await open_session(self.target, self._addresses, self._key)
        except TransportError as error:
            if not error.transient:
                # A refused login is not tried again by each of the operations that wait: servers lock accounts.
                self._refused = error
            raise
        return Lane(session, self.target.reply_timeout)

    async def perform(self, act: str, path: str, operation: Callable[[Lane, int], Awaitable[T]]) -> T:
        """Do ``operation(lane, attempt)``; again on a fresh connection, or later, where that may help.

        Raises our error for the last attempt, with ``act`` in front of its message.
        """
        tries, losses = 0, 0
        while True:
            lane = await self.lane()
            lane.users += 1
            try:
                result = await operation(lane, tries + losses)
            except (*FAILURES, TransportError) as error:
                failure = translate(error, act, path)
            else:
                self._fruitless = 0
                return result
            finally:
                lane.users -= 1
            if isinstance(failure, ConnectionFailed):
                losses += 1
                self._lose(lane, failure)
            else:
                tries += 1
            if not failure.transient or tries >= ATTEMPTS or losses >= LOST_ATTEMPTS:
                raise failure
            if tries and not lane.lost:
                self.messages.append(f"{failure.message} Trying again.")
                await asyncio.sleep(back_off(tries))

    def _lose(self, lane: Lane, failure: TransportError) -> None:
        if not lane.lost:
            self.messages.append(f"{failure.message} Connecting again.")
            self._last_failure = failure
            lane.drop()

    def drop(self) -> None:
        """End all connections at once."""
        for lane in self._lanes:
            lane.drop()
        self._lanes = []

    async def close(self) -> None:
        """End all connections in good order."""
        lanes, self._lanes = self._lanes, []
        await asyncio.gather(*(lane.close() for lane in lanes))


def back_off(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return float(BACK_OFF_SECONDS * 2 ** (failures - 1) * (1 + random.random() / 2))  # noqa: S311
