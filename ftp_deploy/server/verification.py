"""Comparing what the server holds with the manifest, by size."""

import time
from dataclasses import dataclass

from ftp_deploy.models import Service

BATCH = 500
LONGEST = 25.0
"""Seconds after which the comparison stops: a page must not wait for ever. The report says how far it came."""


@dataclass(slots=True)
class Report:
    """What differs. ``compared`` of ``total`` files were looked at."""

    total: int
    compared: int = 0
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every file was looked at."""
        return self.compared == self.total

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.missing and not self.different


def compare(service: Service) -> Report:
    """Ask the server for the size of each file of the manifest. Raises ``TransportError``."""
    manifest = service.manifest
    paths = sorted(manifest)
    report = Report(len(paths))
    ends = time.monotonic() + LONGEST
    with service.transport() as transport:
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            sizes = transport.sizes(batch)
            report.missing += tuple(path for path in batch if sizes.get(path) is None)
            report.different += tuple(
                path for path in batch if sizes.get(path) is not None and sizes[path] != manifest[path].size
            )
            report.compared += len(batch)
            if time.monotonic() > ends:
                break
    return report
