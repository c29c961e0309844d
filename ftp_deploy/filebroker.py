"""Messages as files, for a web process and a worker on one machine: Celery's file transport without its races.

kombu's own transport writes a message under its final name, so that a worker can meet it half-written, and that ends
the worker. Here a message appears by a rename, whole or not at all, is claimed by a rename, and one that cannot be
read is dropped: messages only wake, the rows in the database are the truth.
"""

import logging
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

log = logging.getLogger(__name__)

SCHEME = "ftp-deploy-files"
TABLE_TRIES = 50
TABLE_PAUSE = 0.02


class Channel(filesystem.Channel):
    """One connection's view of the folder."""

    def get_table(self, exchange: str) -> Any:
        """Return the bindings of an exchange. The file is written in place: one met half-written is read again."""
        for _try in range(TABLE_TRIES):
            try:
                return super().get_table(exchange)  # type: ignore[no-untyped-call]
            except ValueError:
                time.sleep(TABLE_PAUSE)
        return []

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        fresh = folder / f".{name}.new"
        fresh.write_text(dumps(message), encoding="utf-8")  # type: ignore[no-untyped-call]
        os.replace(fresh, folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.startswith(".") or name.partition(".")[2] != f"{queue}.msg":
                continue
            claimed = folder / f".{name}.{uuid.uuid4()}"
            try:
                os.rename(folder / name, claimed)
            except FileNotFoundError:  # another worker was first
                continue
            try:
                return loads(claimed.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call]
            except ValueError:
                log.warning("A message that cannot be read was dropped: %s", name)
            finally:
                with suppress(FileNotFoundError):
                    claimed.unlink()
        raise Empty


class Transport(filesystem.Transport):
    """What a broker URL of this scheme stands for."""

    Channel = Channel


def register() -> None:
    """Let Celery know the scheme."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
