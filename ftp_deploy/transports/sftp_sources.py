"""The contents that are sent over SFTP: opened and read, never more of them at a time than memory is meant for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from ftp_deploy.exceptions import TransferFailed
from ftp_deploy.transports.base import Upload
from ftp_deploy.transports.hashes import digest_of
from ftp_deploy.transports.sftp_pool import Budget

INLINE = 1024 * 1024
"""Content up to this size is opened in the event loop's own thread; larger content may have to be unpacked first."""
OPEN_BYTES = 16 * 1024 * 1024
"""Bytes of contents that may be open at a time: a content of up to ``INLINE`` bytes may lie in memory as a whole."""


class Sources:
    """Opens contents. Many small ones at a time; of larger ones as many as ``OPEN_BYTES`` allows."""

    def __init__(self) -> None:
        self._room = Budget(OPEN_BYTES)

    @asynccontextmanager
    async def open(self, upload: Upload, offset: int) -> AsyncIterator[BinaryIO]:
        """Open the content of an upload at ``offset`` once there is room for it."""
        held = min(upload.size, INLINE)
        await self._room.take(held)
        try:
            with await open_source(upload, offset) as source:
                yield source
        finally:
            self._room.give(held)


async def open_source(upload: Upload, offset: int) -> BinaryIO:
    """Open the content of an upload at ``offset``."""
    try:
        source = upload.open() if upload.size <= INLINE else await asyncio.to_thread(upload.open)
        if offset and source.seekable():
            source.seek(offset)
            offset = 0
    except OSError as error:
        raise unreadable(upload, str(error)) from error
    if offset:
        read_exactly(upload, source, offset)
    return source


def read_exactly(upload: Upload, source: BinaryIO, count: int) -> bytes:
    """Read ``count`` bytes. Raises ``TransferFailed`` where the content ends before or cannot be read."""
    try:
        data = source.read(count)
        while len(data) < count:
            more = source.read(count - len(data))
            if not more:
                raise unreadable(upload, f"it is shorter than {upload.size} bytes")
            data += more
    except OSError as error:
        raise unreadable(upload, str(error)) from error
    return data


def digest_of_upload(upload: Upload, kind: str) -> str:
    """Return the hash of what was to be sent."""
    with upload.open() as source:
        return digest_of(source, kind)


def unreadable(upload: Upload, why: str) -> TransferFailed:
    """Return the error for content that cannot be read on our side; asking the server again would not help."""
    error = TransferFailed(f"The content of {upload.shown} cannot be read: {why}.", path=upload.shown)
    error.transient = False
    return error
