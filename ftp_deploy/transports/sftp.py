"""SFTP over asyncssh: one connection with hundreds of requests in flight, more of them for large files on long links.

asyncssh is asynchronous; a transport is not. An event loop in a thread of its own does the work, and the generators
of the contract tell about it in the caller's thread. Only the ``sftp*`` modules know asyncssh.
"""

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

from ftp_deploy.exceptions import ConnectionFailed, PermissionRefused, TransferFailed, TransportError
from ftp_deploy.transports.addresses import resolve
from ftp_deploy.transports.base import (
    Enough,
    Guard,
    Progress,
    RemoteFile,
    Rename,
    Target,
    Traits,
    Transport,
    Upload,
    never_enough,
    probe_names,
)
from ftp_deploy.transports.loop import BackgroundLoop, together
from ftp_deploy.transports.names import join, normal_root
from ftp_deploy.transports.sftp_connection import read_key
from ftp_deploy.transports.sftp_errors import FAILURES
from ftp_deploy.transports.sftp_files import MISSING, Download, Tree, make_directories, prune, rename_file, size_of
from ftp_deploy.transports.sftp_hashes import KIND, TRAIT, digest_on_server, offers_hashes
from ftp_deploy.transports.sftp_pool import Lane, Pool
from ftp_deploy.transports.sftp_protocol import (
    CREATE_FLAG,
    TRUNCATE_FLAG,
    WRITE_FLAG,
    Attributes,
    StatusError,
)
from ftp_deploy.transports.sftp_upload import Sender, Tally

T = TypeVar("T")

POLL_SECONDS = 0.25
"""How often a generator yields at least."""
PROBE_TIME = 946684800
"""The first second of the year 2000."""
BATCH = 500
"""Renames or deletes between two calls of the guard."""
ABORT_SECONDS = 10.0


class SFTP(Transport):
    """SFTP version 3 with the extensions of OpenSSH where the server has them."""

    label = "SFTP"
    default_port = 22
    encrypted = True

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._loop: BackgroundLoop | None = None
        self._pool: Pool | None = None
        self._root = ""

    # Connecting.

    def connect(self) -> None:
        """Connect, check the host key and log in; one try.

        Raises ``ConnectionFailed``, ``LoginRefused``, ``AddressRefused``, and ``IdentityRefused`` where no host key
        is accepted yet or another one is presented; its ``reply`` is the fingerprint that the server presents.
        """
        self.close()
        target = self.target
        key = read_key(target)
        addresses = resolve(target.host, target.port or self.default_port, allow_private=target.allow_private_addresses)
        self._loop = BackgroundLoop(f"sftp {target.host}")
        try:
            self._loop.run(self._start(addresses, key))
        except BaseException:
            self.close()
            raise

    async def _start(self, addresses: Any, key: Any) -> None:
        self._pool = Pool(self.target, addresses, key)
        lane = await self._pool.open_first()
        self.traits = self.traits.learn(
            banner=lane.session.banner,
            features=tuple(sorted(lane.channel.extensions)),
            utf8=True,
            machine_listing=True,
        )
        home = "/"
        if not self.target.path.startswith("/"):
            home = await self._perform("Looking for the login directory", "", _login_directory)
        self._root = normal_root(self.target.path, home)
        await self._ask_for_hashes(lane)

    async def _ask_for_hashes(self, lane: Lane) -> None:
        """Find out whether the server can hash; one that drops the connection over it is connected again later."""
        hashes = False
        with suppress(*FAILURES):
            hashes = await offers_hashes(lane.channel, lane.session.banner, self._root.encode() or b"/")
        self.traits = self.traits.learn(hash_command=TRAIT if hashes else None)

    def close(self) -> None:
        """Close all connections and end the thread."""
        loop, self._loop = self._loop, None
        pool, self._pool = self._pool, None
        if loop is None:
            return
        try:
            if pool is not None:
                loop.run(pool.close())
        finally:
            loop.stop()

    @property
    def _connected(self) -> tuple[BackgroundLoop, Pool]:
        if self._loop is None or self._pool is None:
            raise ConnectionFailed(f"There is no connection to {self.target.host}.")
        return self._loop, self._pool

    # The contract.

    def probe(self) -> Traits:
        """Write, rename over, set the mode and remove, in the target's path; see the contract."""
        loop, _ = self._connected
        loop.run(self._perform(f"Looking at {self._root or '/'}", "", self._check_root))
        *fixed, last = probe_names(self.target)
        for names in fixed:
            with suppress(PermissionRefused):
                return self._probe(names)
        return self._probe(last)

    def _probe(self, names: tuple[str, str]) -> Traits:
        loop, _ = self._connected
        shown = self._root or "/"
        first, second = (self._encode(name) for name in names)
        try:
            loop.run(
                self._perform(f"Writing a file in {shown}", shown, lambda lane, _: self._write(lane, first, second))
            )
            loop.run(self._rename_one(f"a file in {shown}", first, second, Tally()))
        except TransferFailed as error:
            raise PermissionRefused(error.message, path=shown, reply=error.reply, code=error.code) from error
        finally:
            for path in (first, second):
                self._quietly(self._delete_one("the probe file", path, Tally()))
        return self.traits

    def make_directories(self, paths: Sequence[str]) -> None:
        """Make directories; see the contract."""
        loop, pool = self._connected
        loop.run(make_directories(pool, [(path, self._encode(path)) for path in paths]))

    def upload(self, uploads: Sequence[Upload], enough: Enough = never_enough) -> Iterator[Progress]:
        """Send files; see the contract."""
        _, pool = self._connected
        tally = Tally()
        sender = Sender(
            pool,
            self._encode,
            tally,
            chmod=self.traits.chmod is not False,
            hash_kind=self.hash_kind,
            enough=enough,
        )
        yield from self._report(sender.run(uploads), tally)
        if not sender.chmod:
            self.traits = self.traits.learn(chmod=False)
        if not sender.hash_kind:
            self.traits = self.traits.learn(hash_command=None)

    def rename(self, renames: Sequence[Rename], guard: Guard) -> Iterator[Progress]:
        """Rename in bursts of some hundred, each in one round trip; see the contract."""
        encoded = [(rename.path, self._encode(rename.source), self._encode(rename.path)) for rename in renames]
        for batch in _batches(encoded):
            guard()
            tally = Tally()
            yield from self._report(together(self._rename_one(*rename, tally) for rename in batch), tally)

    def delete(self, paths: Sequence[str], guard: Guard) -> Iterator[Progress]:
        """Delete files; see the contract."""
        encoded = [(path, self._encode(path)) for path in paths]
        for batch in _batches(encoded):
            guard()
            tally = Tally()
            yield from self._report(together(self._delete_one(*path, tally) for path in batch), tally)

    def prune(self, directories: Sequence[str]) -> tuple[str, ...]:
        """Remove empty directories; see the contract."""
        loop, pool = self._connected
        return loop.run(prune(pool, [(path, self._encode(path)) for path in directories]))

    def sizes(self, paths: Sequence[str]) -> dict[str, int | None]:
        """Ask for the sizes of all files at once; see the contract."""
        loop, _ = self._connected
        found: dict[str, int | None] = {}

        async def ask(path: str, encoded: bytes) -> None:
            found[path] = await self._perform(
                f"Looking at {path}", path, lambda lane, _: size_of(lane.channel, encoded)
            )

        for batch in _batches([(path, self._encode(path)) for path in paths]):
            loop.run(together(ask(*path) for path in batch))
        return found

    @property
    def hash_kind(self) -> str:
        """The hash of the ``check-file-name`` extension, where the server has it; OpenSSH has not."""
        return KIND if self.traits.hash_command == TRAIT else ""

    def matches(self, digests: Mapping[str, str]) -> dict[str, bool | None]:
        """Ask for the hashes of many files at once; see the contract."""
        loop, _ = self._connected
        found: dict[str, bool | None] = dict.fromkeys(digests)

        async def compare(path: str, encoded: bytes) -> None:
            async def ask(lane: Lane, attempt: int) -> bool | None:
                try:
                    return await digest_on_server(lane.channel, encoded) == digests[path]
                except StatusError:
                    return None

            found[path] = await self._perform(f"Hashing {path}", path, ask)

        if self.hash_kind:
            for batch in _batches([(path, self._encode(path)) for path in digests]):
                loop.run(together(compare(*path) for path in batch))
        return found

    def walk(self) -> Iterator[RemoteFile]:
        """List the whole tree, many directories at a time; see the contract."""
        _, pool = self._connected
        tree = Tree(pool, self._root.encode())
        for _, failure in self._watch(tree.run()):
            yield from tree.taken()
            if failure:
                raise failure

    def download(self, path: str) -> Iterator[bytes]:
        """Read one file, ahead of the caller; see the contract."""
        loop, pool = self._connected
        download = Download(pool, path, self._encode(path))
        try:
            while block := loop.run(download.next_block()):
                yield block
        finally:
            if self._loop is loop:
                loop.run(download.close())

    # One file each.

    async def _perform(self, act: str, path: str, operation: Callable[[Lane, int], Awaitable[T]]) -> T:
        return await self._connected[1].perform(act, path, operation)

    async def _rename_one(self, shown: str, source: bytes, path: bytes, tally: Tally) -> None:
        async def operation(lane: Lane, attempt: int) -> bool | None:
            return await rename_file(lane.channel, source, path, again=attempt > 0)

        over = await self._perform(f"Renaming to {shown}", shown, operation)
        if over is not None and over != self.traits.rename_over:
            self.traits = self.traits.learn(rename_over=over)
        tally.done.append(shown)

    async def _delete_one(self, path: str, encoded: bytes, tally: Tally) -> None:
        async def operation(lane: Lane, attempt: int) -> None:
            try:
                await lane.channel.remove(encoded)
            except StatusError as error:
                if error.code not in MISSING:
                    raise

        await self._perform(f"Deleting {path}", path, operation)
        tally.done.append(path)

    async def _check_root(self, lane: Lane, attempt: int) -> None:
        shown = self._root or "/"
        try:
            found = await lane.channel.attributes(shown.encode())
        except StatusError as error:
            raise PermissionRefused(
                f"The path {shown} cannot be opened on the server ({error.reason}).",
                path=shown,
                reply=error.reason,
                code=error.code,
                advice="Check the path of the service; it must exist on the server.",
            ) from error
        if not found.is_directory:
            raise PermissionRefused(f"The path {shown} is not a directory on the server.", path=shown)

    async def _write(self, lane: Lane, first: bytes, second: bytes) -> None:
        for path in (first, second):
            handle = await lane.channel.open(path, WRITE_FLAG | CREATE_FLAG | TRUNCATE_FLAG)
            await lane.channel.write(handle, 0, b"probe")
            await lane.channel.close(handle)
        chmod = await _works(lane.channel.set_attributes(first, Attributes(permissions=0o644)))
        set_time = await _works(lane.channel.set_attributes(first, Attributes(modified=PROBE_TIME)))
        self.traits = self.traits.learn(chmod=chmod, set_time=set_time)

    # The bridge between the caller's thread and the loop's.

    def _encode(self, path: str) -> bytes:
        return join(self._root, path).encode()

    def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        loop, _ = self._connected
        try:
            loop.run(work)
        except TransportError:
            return

    def _report(self, work: Coroutine[Any, Any, Any], tally: Tally) -> Iterator[Progress]:
        """Run ``work`` and yield what it tells, also what it had done before it failed."""
        _, pool = self._connected
        told = 0
        for ended, failure in self._watch(work):
            done = tuple(tally.done.popleft() for _ in range(len(tally.done)))
            message = "\n".join(pool.messages.popleft() for _ in range(len(pool.messages)))
            sent, told = tally.bytes_sent - told, tally.bytes_sent
            if done or sent or message or not ended:
                yield Progress(done, sent, tally.current, message)
            if failure:
                raise failure

    def _watch(self, work: Coroutine[Any, Any, Any]) -> Iterator[tuple[bool, TransportError | None]]:
        """Run ``work``; yield every now and then, and a last time when it has ended, then with its error.

        Leaving the generator before the end drops all connections and waits until the work has stopped.
        """
        loop, pool = self._connected
        ended = threading.Event()

        async def watched() -> None:
            try:
                await work
            finally:
                ended.set()

        future: Future[None] = loop.start(watched())
        try:
            while not wait([future], POLL_SECONDS).done:
                yield False, None
            error = future.exception()
            if error is not None and not isinstance(error, TransportError):
                raise error
            yield True, error
        finally:
            if not future.done():
                future.cancel()
                loop.run(_drop(pool))
                ended.wait(ABORT_SECONDS)


async def _drop(pool: Pool) -> None:
    pool.drop()


async def _works(answer: "asyncio.Future[None]") -> bool:
    """Whether a request was granted."""
    try:
        await answer
    except StatusError:
        return False
    return True


async def _login_directory(lane: Lane, attempt: int) -> str:
    return (await lane.channel.real_path(b".")).decode("utf-8", "surrogateescape")


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Cut into lists of ``BATCH``."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch
