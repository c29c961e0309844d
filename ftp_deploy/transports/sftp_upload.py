"""Sending files over SFTP: many at a time, large ones in parallel parts, each checked for its size."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from ftp_deploy.exceptions import StorageFull, VerificationFailed
from ftp_deploy.transports.base import Enough, Upload, never_enough
from ftp_deploy.transports.hashes import Hasher
from ftp_deploy.transports.loop import together
from ftp_deploy.transports.sftp_channel import SFTPChannel, forget
from ftp_deploy.transports.sftp_errors import FAILURES, reply_of
from ftp_deploy.transports.sftp_hashes import KIND, digest_on_server
from ftp_deploy.transports.sftp_pool import Lane, Pool
from ftp_deploy.transports.sftp_protocol import (
    CREATE_FLAG,
    TRUNCATE_FLAG,
    WRITE_FLAG,
    Attributes,
    Status,
    StatusError,
)
from ftp_deploy.transports.sftp_sources import Sources, digest_of_upload, read_exactly

FILES_AT_A_TIME = 256
"""Files under way in one transport; each has up to four requests in flight."""
FILES_AT_UNKNOWN = 32
"""The same for a server that does not tell how many files it keeps open."""
LARGE = 16 * 1024 * 1024
"""Files of this size are sent in parts where there is more than one connection."""
WINDOW = 2 * 1024 * 1024
"""The window that OpenSSH gives one SSH channel, in bytes."""
LINE_RATE = 150 * 1024 * 1024
"""Bytes a second that one process sends at most; a window too small for it is made up for with connections."""
MOST_LANES = 4
TRIES_IN_PARTS = 2
"""How often a file that is sent in parts is sent as a whole, where it does not arrive well."""

Operation = Callable[[Lane, int], Awaitable[None]]


class Tally:
    """What has happened and was not reported yet. Written in the event loop, taken in the caller's thread."""

    def __init__(self) -> None:
        self.done: deque[str] = deque()
        self.bytes_sent = 0
        self.current = ""


class Part:
    """A stretch of one file. ``start`` moves forward with what the server has confirmed."""

    def __init__(self, whole: "Whole", start: int, end: int) -> None:
        self.whole = whole
        self.start = start
        self.end = end
        self._first = start

    @property
    def confirmed(self) -> bool:
        """Whether the server has confirmed some of it."""
        return self.start > self._first

    def confirm(self, count: int) -> None:
        """Say that the next ``count`` bytes are on the server."""
        self.start += count

    def restart(self) -> None:
        """Send it from its beginning again."""
        self.start = self._first


class Whole:
    """One file to send, in one part or several."""

    def __init__(self, upload: Upload, path: bytes, parts: int) -> None:
        self.upload = upload
        self.path = path
        self.created = asyncio.Event()
        step = max(1, math.ceil(upload.size / parts))
        starts = range(0, upload.size, step) if upload.size else (0,)
        self.parts = [Part(self, start, min(start + step, upload.size)) for start in starts]
        self.left = len(self.parts)
        self.begun = False
        self.tries = 0

    def restart(self) -> None:
        """Send all of it again."""
        for part in self.parts:
            part.restart()
        self.created.clear()

    @property
    def single(self) -> bool:
        """Whether the file is sent in one part."""
        return len(self.parts) == 1


class Sender:
    """Sends the files of one ``upload`` call."""

    def __init__(
        self,
        pool: Pool,
        encode: Callable[[str], bytes],
        tally: Tally,
        *,
        chmod: bool,
        hash_kind: str = "",
        enough: Enough = never_enough,
    ) -> None:
        self._enough = enough
        self._pool = pool
        self._encode = encode
        self._tally = tally
        self.chmod = chmod
        """Whether modes are set; turns False when the server refuses."""
        self.hash_kind = hash_kind
        """The hash that the server computes, empty for none; turns empty when the server refuses."""
        self._parts: deque[Part] = deque()
        self._sources = Sources()

    async def run(self, uploads: Sequence[Upload]) -> None:
        """Send everything, the largest first. The first error that no further try can mend ends it."""
        lane = await self._pool.lane()
        lanes = await self._lanes_for(lane, sum(upload.size for upload in uploads))
        for upload in sorted(uploads, key=lambda upload: upload.size, reverse=True):
            parts = lanes if upload.size >= LARGE else 1
            self._parts.extend(Whole(upload, self._encode(upload.path), parts).parts)
        workers = min(len(self._parts), files_at_a_time(lane.channel))
        await together(self._work() for _ in range(workers))

    async def _lanes_for(self, lane: Lane, total: int) -> int:
        """Open as many connections as it takes to fill the link: one window of OpenSSH is little on a long one."""
        most = min(MOST_LANES, self._pool.target.max_connections)
        if total < LARGE or most < 2:
            return 1
        started = time.monotonic()
        await lane.channel.real_path(b".")
        wanted = math.ceil((time.monotonic() - started) * LINE_RATE / WINDOW)
        return await self._pool.grow(max(1, min(most, wanted)))

    def _next(self) -> Part | None:
        """Return the next part; only of files that were begun once no more are wanted."""
        while self._parts:
            part = self._parts.popleft()
            if part.whole.begun or not self._enough():
                part.whole.begun = True
                return part
        return None

    async def _work(self) -> None:
        while (part := self._next()) is not None:
            path, shown = part.whole.upload.path, part.whole.upload.shown

            async def send(lane: Lane, attempt: int, part: Part = part) -> None:
                await self._send(lane, part)

            await self._pool.perform(f"Uploading {shown}", shown, send)
            part.whole.left -= 1
            if part.whole.left:
                continue
            if part.whole.single or await self._finish(part.whole):
                self._tally.done.append(path)

    async def _finish(self, whole: Whole) -> bool:
        """Do the last step of a file that was sent in parts. One that did not arrive well is listed again: False."""
        shown = whole.upload.shown
        try:
            await self._pool.perform(f"Checking {shown}", shown, self._finisher(whole))
        except VerificationFailed as error:
            whole.tries += 1
            if whole.tries >= TRIES_IN_PARTS:
                raise
            self._pool.messages.append(f"{error.message} Sending it again.")
            whole.left = len(whole.parts)
            self._parts.extend(whole.parts)
            return False
        return True

    async def _send(self, lane: Lane, part: Part) -> None:
        """Send one part, from where the server has confirmed it."""
        whole, channel = part.whole, lane.channel
        self._tally.current = whole.upload.shown
        try:
            handle = await self._open(channel, part)
            try:
                await self._fill(lane, handle, part)
            except BaseException:
                channel.close(handle).add_done_callback(forget)
                raise
        except StatusError as error:
            raise await explain(channel, error, whole) from error

    async def _open(self, channel: SFTPChannel, part: Part) -> bytes:
        """Open the remote file. Its first part makes it empty; the others wait for that."""
        whole, flags = part.whole, WRITE_FLAG | CREATE_FLAG
        if not whole.created.is_set() and part is whole.parts[0]:
            handle = await channel.open(whole.path, flags | TRUNCATE_FLAG)
            whole.created.set()
            return handle
        await whole.created.wait()
        handle = await channel.open(whole.path, flags)
        if part.confirmed:
            # A file that is gone would come back with zeros where its first part was.
            there = await channel.file_attributes(handle)
            if there.size is None or there.size < part.start:
                part.restart()
        return handle

    async def _fill(self, lane: Lane, handle: bytes, part: Part) -> None:
        """Write the part and close the file, with everything in flight that may be."""
        whole, channel = part.whole, lane.channel
        writes: deque[tuple[asyncio.Future[None], int]] = deque()
        hasher = Hasher(self.hash_kind) if self.hash_kind and whole.single and not part.start else None
        async with self._sources.open(whole.upload, part.start) as source:
            offset, chunk = part.start, channel.chunk(handle)
            while offset < part.end:
                count = min(chunk, part.end - offset)
                await lane.budget.take(count)
                data = read_exactly(whole.upload, source, count)
                if hasher:
                    hasher.update(data)
                offset += self._write(lane, handle, offset, data, writes)
                self._confirm(part, writes)
        settings = self._settings(whole.upload) if whole.single else None
        changed = channel.set_file_attributes(handle, settings) if settings else None
        seen = channel.file_attributes(handle)
        closed = channel.close(handle)
        while writes:
            await writes[0][0]
            self._confirm(part, writes)
        await self._heed(changed)
        if whole.single:
            await check_size(channel, whole, await seen)
        await closed
        if whole.single and self.hash_kind:
            await self._check_hash(channel, whole, hasher.hexdigest() if hasher else "")

    async def _check_hash(self, channel: SFTPChannel, whole: Whole, digest: str) -> None:
        """Compare the content on the server with ours; ``digest`` is empty where it was not taken on the way.

        Not every server hashes an empty file, and its size says all. A server that fails to hash one file has its size.
        """
        if not whole.upload.size:
            return
        try:
            there = await digest_on_server(channel, whole.path)
        except StatusError as error:
            if error.code == Status.UNSUPPORTED:
                self.hash_kind = ""
            return
        if there != (digest or await asyncio.to_thread(digest_of_upload, whole.upload, KIND)):
            whole.restart()
            raise VerificationFailed(
                f"{whole.upload.shown} arrived with another content: its {KIND} on the server is {there}.",
                path=whole.upload.shown,
            )

    def _write(
        self,
        lane: Lane,
        handle: bytes,
        offset: int,
        data: bytes,
        writes: "deque[tuple[asyncio.Future[None], int]]",
    ) -> int:
        count = len(data)
        future = lane.channel.write(handle, offset, data)
        future.add_done_callback(lambda _: lane.budget.give(count))
        writes.append((future, count))
        return count

    def _confirm(self, part: Part, writes: "deque[tuple[asyncio.Future[None], int]]") -> None:
        """Move the start of the part over what the server has confirmed. Raises what a write failed of."""
        while writes and writes[0][0].done():
            future, count = writes.popleft()
            future.result()
            part.confirm(count)
            self._tally.bytes_sent += count

    def _settings(self, upload: Upload) -> Attributes | None:
        """Return the mode and the time to set, None for none."""
        mode = upload.mode if upload.mode is not None else self._pool.target.file_mode
        permissions = mode & 0o7777 if mode is not None and self.chmod else None
        modified = int(upload.modified.timestamp()) if upload.modified else None
        if permissions is None and modified is None:
            return None
        return Attributes(permissions=permissions, modified=modified)

    async def _heed(self, changed: "asyncio.Future[None] | None") -> None:
        """A server that sets no modes keeps its own; that is no reason not to deploy."""
        if changed is None:
            return
        try:
            await changed
        except StatusError as error:
            if self.chmod:
                self._pool.messages.append(f"The server does not set file modes or times ({reply_of(error)}).")
            self.chmod = False

    def _finisher(self, whole: Whole) -> Operation:
        """Return the last step of a file that was sent in parts."""

        async def finish(lane: Lane, attempt: int) -> None:
            settings = self._settings(whole.upload)
            changed = lane.channel.set_attributes(whole.path, settings) if settings else None
            seen = await lane.channel.attributes(whole.path)
            await self._heed(changed)
            await check_size(lane.channel, whole, seen)
            if self.hash_kind:
                await self._check_hash(lane.channel, whole, "")

        return finish


async def check_size(channel: SFTPChannel, whole: Whole, seen: Attributes) -> None:
    """Raise ``VerificationFailed`` where the server's file is not as long as ours."""
    if seen.size == whole.upload.size:
        return
    # A server that answers out of order may have looked before it wrote.
    seen = await channel.attributes(whole.path)
    if seen.size != whole.upload.size:
        whole.restart()
        raise VerificationFailed(
            f"{whole.upload.shown} has {seen.size} bytes on the server instead of {whole.upload.size}.",
            path=whole.upload.shown,
        )


async def explain(channel: SFTPChannel, error: StatusError, whole: Whole) -> BaseException:
    """Find out whether a failure without a reason is a full disk: OpenSSH tells that one not apart."""
    if error.code != Status.FAILURE or "statvfs@openssh.com" not in channel.extensions:
        return error
    try:
        free = await channel.free_bytes(whole.path.rpartition(b"/")[0] or b"/")
    except FAILURES:
        return error
    missing = sum(part.end - part.start for part in whole.parts)
    if free > max(missing, 1):
        return error
    return StorageFull(
        f"Uploading {whole.upload.shown}: the server's disk is full; {free} bytes are free.",
        path=whole.upload.shown,
        reply=reply_of(error),
        code=error.code,
    )


def files_at_a_time(channel: SFTPChannel) -> int:
    """Return how many files may be open at a time on this server."""
    if not channel.limits.handles:
        return FILES_AT_UNKNOWN
    return max(1, min(FILES_AT_A_TIME, channel.limits.handles * 3 // 4))
