"""The contents that are sent over SFTP, read from files that cannot be read, are too short, or only go forward."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pytest

from ftp_deploy.exceptions import TransferFailed
from ftp_deploy.transports.base import Upload
from ftp_deploy.transports.sftp_sources import open_source, read_exactly


class Forward(io.RawIOBase):
    """A stream that cannot seek, and gives three bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(3, len(buffer))
        block, self._rest = self._rest[:count], self._rest[count:]
        buffer[: len(block)] = block
        return len(block)


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(5, "Input/output error")


def opened(upload: Upload, offset: int) -> BinaryIO:
    with ThreadPoolExecutor(1) as pool:  # a browser of other tests may have its loop in this thread
        return pool.submit(asyncio.run, open_source(upload, offset)).result()


def test_a_stream_that_cannot_seek_is_read_up_to_the_place() -> None:
    upload = Upload("page.html", 10, lambda: Forward(b"0123456789"))  # type: ignore[arg-type, return-value]
    source = opened(upload, 4)
    assert read_exactly(upload, source, 6) == b"456789"


def missing() -> BinaryIO:
    raise FileNotFoundError(2, "No such file or directory")


@pytest.mark.parametrize(
    ("upload", "words"),
    [
        (Upload("page.html", 10, missing), "No such file"),
        (Upload("page.html", 10, lambda: Broken(b"0123456789")), "Input/output error"),
        (Upload("page.html", 10, lambda: io.BytesIO(b"01234")), "it is shorter than 10 bytes"),
    ],
    ids=["gone", "broken", "short"],
)
def test_content_that_cannot_be_read_is_no_fault_of_the_server(upload: Upload, words: str) -> None:
    """Another try would end the same way, so it is no passing error."""
    with pytest.raises(TransferFailed, match=rf"The content of page\.html cannot be read: .*{words}") as caught:
        read_exactly(upload, opened(upload, 0), 10)
    assert not caught.value.transient
