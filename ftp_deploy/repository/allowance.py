"""How much a git server may send for one repository, and how long it may take with all of it."""

import time

from ftp_deploy.exceptions import RepositoryError, RepositoryUnavailable
from ftp_deploy.repository.base import LARGEST_TALK, GitSource


class Allowance:
    """What is left of the limits of one source: bytes of everything, bytes beside the packs, and time."""

    def __init__(self, source: GitSource) -> None:
        self._source = source
        self._bytes_left = source.max_bytes
        self._talk_left = LARGEST_TALK
        self.deadline = time.monotonic() + source.total_timeout

    def begin_answer(self) -> None:
        """Begin an answer: each has its own limit of what is said beside the pack."""
        self._talk_left = LARGEST_TALK

    def take(self, size: int) -> None:
        """Count bytes that came. Raises ``RepositoryError`` for too many."""
        self._bytes_left -= size
        self._talk_left -= size
        if self._bytes_left < 0:
            raise RepositoryError(f"{self._source.shown_url} sent more than {self._source.max_bytes} bytes.")
        if self._talk_left < 0:
            raise RepositoryError(f"{self._source.shown_url} sent far too much beside the files.")

    def was_pack(self, size: int) -> None:
        """Say that so many of the bytes that came belong to the pack."""
        self._talk_left += size

    def check_time(self) -> None:
        """Raise ``RepositoryUnavailable`` after the deadline."""
        if time.monotonic() > self.deadline:
            seconds = self._source.total_timeout
            raise RepositoryUnavailable(f"{self._source.shown_url} did not finish within {seconds:.0f} s.")
