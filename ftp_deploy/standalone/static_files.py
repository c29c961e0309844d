"""The package's static files: WhiteNoise, with gzip copies made when the process starts.

Each address carries a version made of the file's content, so browsers may keep a file for long and still load the new
one at once after an upgrade.
"""

import gzip
import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

from ftp_deploy.standalone.site import site

COMPRESSIBLE = {".css", ".js", ".json", ".map", ".svg", ".txt"}
SMALLEST = 1000
"""Bytes below which a file fits into one packet anyway."""


def folder() -> Path:
    """Return where the copies lie; what is in there may be deleted at any time before a start."""
    return site.DATA_FOLDER / "cache" / "static"


def compressed(path: Path) -> Path | None:
    """Return the path of a gzip copy of a file, made now where there is none of this version.

    None where the file gains nothing or nothing can be written: it is sent as it is then.
    """
    status = path.stat()
    if path.suffix not in COMPRESSIBLE or status.st_size < SMALLEST:
        return None
    copy = folder() / f"{hashlib.blake2s(str(path).encode(), digest_size=12).hexdigest()}.gz"
    try:
        if not copy.exists() or copy.stat().st_mtime_ns != status.st_mtime_ns:
            write(copy, gzip.compress(path.read_bytes(), mtime=0), status.st_mtime_ns)
    except OSError:
        return None
    return copy


def write(copy: Path, content: bytes, moment: int) -> None:
    """Store a copy whole, with the time of its original; several processes may start at the same moment."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=copy.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.utime(name, ns=(moment, moment))
    Path(name).replace(copy)


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Serves each file as it is or, to those who take it, compressed."""

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> Any:
        """Return the file with its compressed copy as an alternative."""
        headers = Headers([])
        self.add_mime_headers(headers, path, url)
        self.add_cache_headers(headers, path, url)
        copy = compressed(Path(path))
        return StaticFile(path, headers.items(), encodings={"gzip": str(copy)} if copy else {})


@cache
def version(name: str) -> str:
    """Return a digest of a static file's content; empty for a name that nothing is found for."""
    found = finders.find(name)
    return hashlib.blake2s(Path(found).read_bytes(), digest_size=4).hexdigest() if found else ""


class VersionedFiles(StaticFilesStorage):
    """Where templates get the addresses of static files from."""

    def url(self, name: str | None, force: bool = False) -> str:
        """Return the address with its version."""
        address: str = super().url(name)
        found = version(name) if name else ""
        return f"{address}?v={found}" if found else address
