"""The demo's forge with its one repository.

A process of its own: ``python -m ftp_deploy.standalone.demo.forge_server FOLDER PORT USER SOURCE``, the token in the
environment as ``GITHUB_TOKEN``. ``SOURCE`` is a path or an address to copy; empty: the sample site.
"""

import logging
import os
import signal
import sys
import threading
from pathlib import Path

from ftp_deploy.standalone.demo.stage import REPOSITORY
from ftp_deploy.standalone.forge import Forge
from ftp_deploy.standalone.processes import die_with_parent

SAMPLE_SITE = Path(__file__).parent / "site"


def sample_files() -> dict[str, bytes | tuple[int, bytes] | None]:
    """Return the files of the sample site by path."""
    places = (place for place in sorted(SAMPLE_SITE.rglob("*")) if place.is_file())
    return {place.relative_to(SAMPLE_SITE).as_posix(): place.read_bytes() for place in places}


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM; return 1 where the repository cannot be copied."""
    die_with_parent()
    folder, port, user, source = arguments
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    forge = Forge(folder, username=user, token=os.environ["GITHUB_TOKEN"], port=int(port), email="demo@example.com")
    try:
        if source:
            forge.import_repository(REPOSITORY, source)
        else:
            forge.create_repository(REPOSITORY, sample_files(), message="The museum's site")
    except ValueError as error:
        print(error)
        return 1
    with forge:
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
