"""The folder in which one fetch keeps its files: removed when done, or by the next fetch where its worker died."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX = "ftp-deploy-git-"
YOUNG_SECONDS = 60.0
"""A folder younger than this may not be locked yet, so it is left alone."""


class ScratchFolder:
    """A new folder below ``parent``, the system's temporary folder where that is empty.

    It is locked as long as it is in use (flock(2)): the system lets go of the lock whatever a process dies of, so a
    folder that can be locked is nobody's. Where folders cannot be locked (NFS) none is ever taken for abandoned.
    """

    def __init__(self, parent: str = "") -> None:
        remove_abandoned(parent)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=parent or None)
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it with all that is in it; harmless when called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def remove_abandoned(parent: str = "") -> int:
    """Remove the folders that dead processes left below ``parent``; return how many."""
    removed = 0
    for folder in Path(parent or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            removed += _remove_if_abandoned(folder)
    return removed


def _remove_if_abandoned(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if time.time() - os.fstat(descriptor).st_mtime < YOUNG_SECONDS or os.fstat(descriptor).st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)
    return True
