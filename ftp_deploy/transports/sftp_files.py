"""What SFTP does beside uploading: directories, renames, listings, downloads."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ftp_deploy.exceptions import PermissionRefused, TransportError, VerificationFailed
from ftp_deploy.transports.base import RemoteFile
from ftp_deploy.transports.loop import together
from ftp_deploy.transports.sftp_channel import SSH_PACKET, SFTPChannel, forget
from ftp_deploy.transports.sftp_pool import Lane, Pool
from ftp_deploy.transports.sftp_protocol import READ_FLAG, Attributes, Name, Status, StatusError

MISSING = (Status.NO_SUCH_FILE, Status.NO_SUCH_PATH)
LISTINGS_AT_A_TIME = 32
LISTINGS_AHEAD = 2
READS_AT_A_TIME = 64
DEEPEST = 64
"""Directories below each other that a listing follows; deeper ones are a mistake or a trap."""

Path = tuple[str, bytes]
"""A path relative to the target, and as it is sent."""


# Directories.


async def make_directories(pool: Pool, paths: Sequence[Path]) -> None:
    """Make all directories in one round trip; then one by one those that a server took before their parents."""
    late: list[Path] = []

    async def make(path: Path, *, last: bool) -> None:
        async def operation(lane: Lane, attempt: int) -> bool:
            return await make_directory(lane.channel, path, parent_missing_is_fine=not last)

        if not await pool.perform(f"Making the directory {path[0]}", path[0], operation):
            late.append(path)

    await together(make(path, last=False) for path in paths)
    order = {path[0]: number for number, path in enumerate(paths)}
    for path in sorted(late, key=lambda path: order[path[0]]):
        await make(path, last=True)


async def make_directory(channel: SFTPChannel, path: Path, *, parent_missing_is_fine: bool) -> bool:
    """Make one directory, fine where it exists. Return False where its parent is missing and that may still come."""
    try:
        await channel.make_directory(path[1])
    except StatusError as error:
        if error.code in MISSING and parent_missing_is_fine:
            return False
        if error.code in MISSING:
            raise
        found = await attributes_or_none(channel, path[1])
        if found is None:
            raise error from None
        if not found.is_directory:
            raise PermissionRefused(
                f"{path[0]} is a file on the server, but the repository has a directory of this name.",
                path=path[0],
                code=error.code,
                advice="Remove or rename the file on the server.",
            ) from error
    return True


async def prune(pool: Pool, directories: Sequence[Path]) -> tuple[str, ...]:
    """Remove those directories that are empty, the deepest first; return them."""
    removed: list[str] = []

    async def remove(path: Path) -> None:
        async def operation(lane: Lane, attempt: int) -> bool:
            return await remove_if_empty(lane.channel, path[1])

        if await pool.perform(f"Removing the directory {path[0]}", path[0], operation):
            removed.append(path[0])

    depths = sorted({path[0].count("/") for path in directories}, reverse=True)
    for depth in depths:
        await together(remove(path) for path in directories if path[0].count("/") == depth)
    return tuple(removed)


async def remove_if_empty(channel: SFTPChannel, path: bytes) -> bool:
    """List a directory and remove it if nothing is in it. Return whether it is gone because of that."""
    try:
        if await entries(channel, await channel.open_directory(path)):
            return False
        await channel.remove_directory(path)
    except StatusError:
        return False
    return True


# Files.


async def attributes_or_none(channel: SFTPChannel, path: bytes) -> Attributes | None:
    """Ask about a file; None where there is none."""
    try:
        return await channel.attributes(path)
    except StatusError as error:
        if error.code in MISSING:
            return None
        raise


async def size_of(channel: SFTPChannel, path: bytes) -> int | None:
    """Return the size of a file, None where there is none or where it is a directory."""
    found = await attributes_or_none(channel, path)
    return None if found is None or found.is_directory else found.size


async def rename_file(channel: SFTPChannel, source: bytes, path: bytes, *, again: bool) -> bool | None:
    """Let ``source`` become ``path``. Return whether the server renames over existing files; None: not seen.

    ``again`` says that an earlier try lost its answer: then a missing source means that it had worked.
    """
    try:
        if "posix-rename@openssh.com" in channel.extensions:
            await channel.rename_over(source, path)
            return True
        return await _rename_plainly(channel, source, path)
    except StatusError as error:
        if again and error.code in MISSING and await attributes_or_none(channel, path) is not None:
            return None
        raise


async def _rename_plainly(channel: SFTPChannel, source: bytes, path: bytes) -> bool | None:
    """Rename without the extension: version 3 refuses an existing file, which then has to go first."""
    try:
        await channel.rename(source, path)
    except StatusError as error:
        if error.code in MISSING or await size_of(channel, path) is None or await size_of(channel, source) is None:
            raise
        await channel.remove(path)
        await channel.rename(source, path)
        return False
    return None


# Listings.


async def entries(channel: SFTPChannel, handle: bytes) -> list[Name]:
    """Give all entries of an open directory except itself and its parent, and close it."""
    found: list[Name] = []
    answers: deque[asyncio.Future[list[Name]]] = deque()
    try:
        while True:
            # Most directories fit into one answer; the next request then brings the end without a wait.
            while len(answers) < LISTINGS_AHEAD:
                answers.append(channel.read_directory(handle))
            names = await answers.popleft()
            found.extend(name for name in names if name.name not in (b".", b".."))
    except StatusError as error:
        if error.code != Status.EOF:
            raise
    finally:
        channel.close(handle).add_done_callback(forget)
        for answer in answers:
            answer.add_done_callback(forget)
    return found


class Tree:
    """One listing of everything below a directory. Filled in the event loop, emptied in the caller's thread."""

    def __init__(self, pool: Pool, root: bytes) -> None:
        self._pool = pool
        self._root = root
        self._found: deque[RemoteFile] = deque()
        self._open = asyncio.Semaphore(LISTINGS_AT_A_TIME)

    def taken(self) -> Iterator[RemoteFile]:
        """Give what was found since the last call."""
        for _ in range(len(self._found)):
            yield self._found.popleft()

    async def run(self) -> None:
        """List level by level. A directory that we may not read is listed without its content."""
        level = [b""]
        for depth in range(DEEPEST):
            below: list[bytes] = []
            await together(self._list(path, below, depth) for path in level)
            if not below:
                return
            level = below
        raise TransportError(f"The directories on the server are nested more than {DEEPEST} deep.")

    async def _list(self, path: bytes, below: list[bytes], depth: int) -> None:
        shown = decode(path) or "/"

        async def operation(lane: Lane, attempt: int) -> list[tuple[Name, bool]]:
            names = await entries(lane.channel, await lane.channel.open_directory(self._full(path)))
            return [await followed(lane.channel, self._full(path), name) for name in names]

        async with self._open:
            try:
                names = await self._pool.perform(f"Listing {shown}", shown, operation)
            except PermissionRefused:
                if not depth:
                    raise
                return
        for name, linked in names:
            relative = path + b"/" + name.name if path else name.name
            self._found.append(remote_file(relative, name.attributes))
            # A linked directory is somebody else's: it is listed, but not gone into.
            if name.attributes.is_directory and not linked:
                below.append(relative)

    def _full(self, path: bytes) -> bytes:
        return (self._root + b"/" + path if path else self._root) or b"/"


async def followed(channel: SFTPChannel, directory: bytes, name: Name) -> tuple[Name, bool]:
    """Look behind a symbolic link, and at an entry that was listed without its attributes."""
    linked = name.attributes.is_link
    if not linked and name.attributes.permissions is not None:
        return name, False
    found = await attributes_or_none(channel, directory + b"/" + name.name)
    return Name(name.name, found or name.attributes), linked


def is_fine(answer: "asyncio.Future[bytes]") -> bool:
    """Whether an answer is here and is no error."""
    return answer.done() and not answer.cancelled() and answer.exception() is None


def remote_file(path: bytes, attributes: Attributes) -> RemoteFile:
    """Return one entry of a listing as the contract has it."""
    modified = None if attributes.modified is None else datetime.fromtimestamp(attributes.modified, UTC)
    return RemoteFile(decode(path), attributes.size or 0, attributes.is_directory, modified)


def decode(path: bytes) -> str:
    """Return a path of the server as text; bytes that are no UTF-8 survive the way back."""
    return path.decode("utf-8", "surrogateescape")


# Downloads.


class Download:
    """Reads one file with many requests ahead; goes on where it was when the connection is lost."""

    def __init__(self, pool: Pool, shown: str, path: bytes) -> None:
        self._pool = pool
        self._shown = shown
        self._path = path
        self._offset = 0
        self._size: int | None = None
        self._lane: Lane | None = None
        self._handle = b""
        self._asked_to = 0
        self._answers: deque[tuple[int, asyncio.Future[bytes]]] = deque()

    async def next_block(self) -> bytes:
        """Return the next bytes, none at the end."""
        return await self._pool.perform(f"Reading {self._shown}", self._shown, self._next)

    async def close(self) -> None:
        """Close the remote file."""
        if self._lane is not None and not self._lane.lost:
            self._lane.channel.close(self._handle).add_done_callback(forget)
        self._forget_answers()
        self._lane = None

    async def _next(self, lane: Lane, attempt: int) -> bytes:
        if self._lane is None or self._lane.lost:
            await self._open(lane)
        self._ask_ahead()
        if not self._answers:
            return b""
        count, answer = self._answers.popleft()
        try:
            data = await answer
        except StatusError as error:
            if error.code != Status.EOF:
                raise
            if self._size is not None:  # nothing was asked for beyond it: the file is shorter now
                raise self._changed() from error
            return b""
        blocks = [data]
        self._offset += len(data)
        while len(data) == count and self._answers and is_fine(self._answers[0][1]):
            # What has arrived as well goes along: each trip between the threads costs more than a read.
            count, answer = self._answers.popleft()
            data = answer.result()
            blocks.append(data)
            self._offset += len(data)
        if len(data) < count:
            # The server gave less than was asked for: what was asked for behind it leaves a gap.
            self._forget_answers()
        return b"".join(blocks)

    async def _open(self, lane: Lane) -> None:
        self._forget_answers()
        self._handle = await lane.channel.open(self._path, READ_FLAG)
        size = (await lane.channel.file_attributes(self._handle)).size
        if self._size is not None and size != self._size:
            lane.channel.close(self._handle).add_done_callback(forget)
            raise self._changed()  # with no lane taken: the next try must not go on in another file
        self._lane, self._size = lane, size

    def _changed(self) -> VerificationFailed:
        return VerificationFailed(f"{self._shown} was changed on the server while it was read.", path=self._shown)

    def _ask_ahead(self) -> None:
        if self._lane is None:
            return
        channel = self._lane.channel
        length = min(channel.limits.read, SSH_PACKET)
        end = self._size if self._size is not None else self._asked_to + length
        while self._asked_to < end and len(self._answers) < READS_AT_A_TIME:
            count = min(length, end - self._asked_to)
            self._answers.append((count, channel.read(self._handle, self._asked_to, count)))
            self._asked_to += count

    def _forget_answers(self) -> None:
        for _, answer in self._answers:
            answer.add_done_callback(forget)
        self._answers.clear()
        self._asked_to = self._offset
