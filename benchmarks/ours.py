"""Our side of a run, as a process of its own: what the worker's transfer does, without a database.

Reads a JSON request from the command line and prints one: seconds by phase, from the start of connecting.
"""

import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from ftp_deploy.transports import ftp_server, open_transport
from ftp_deploy.transports.base import Rename, Target, Upload

TEMPORARY = ".fd-0000000001-1-{number:x}.tmp"


def main() -> None:
    request: dict[str, Any] = json.loads(sys.argv[1])
    tree = Path(request["tree"])
    if request["tls"]:
        keep_to(ssl.TLSVersion[f"TLSv{request['tls'].replace('.', '_')}"])
    paths: list[str] = request["paths"]
    json.dump(deploy(Target(**request["target"]), tree, paths, request["directories"]), sys.stdout)


def keep_to(version: ssl.TLSVersion) -> None:
    """Let all connections speak one version of TLS."""
    make_context = ftp_server.make_context

    def narrow(*arguments: Any) -> ssl.SSLContext:
        context = make_context(*arguments)
        context.minimum_version = context.maximum_version = version
        return context

    ftp_server.make_context = narrow


def deploy(target: Target, tree: Path, paths: list[str], directories: list[str]) -> dict[str, float]:
    """Connect, make directories, upload beside, switch."""
    temporary = {path: beside(path, number) for number, path in enumerate(paths)}
    uploads = [upload(tree / path, temporary[path]) for path in paths]
    transport = open_transport(target)  # a worker has imported the protocol's module long before
    marks = [time.monotonic()]
    transport.expect(len(uploads))
    with transport:
        marks.append(time.monotonic())
        transport.make_directories(directories)
        marks.append(time.monotonic())
        for _ in transport.upload(uploads):
            pass
        marks.append(time.monotonic())
        for _ in transport.rename([Rename(temporary[path], path) for path in paths], lambda: None):
            pass
        marks.append(time.monotonic())
    names = ("connect", "directories", "upload", "switch")
    phases = {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)}
    return {**phases, "total": marks[-1] - marks[0]}


def beside(path: str, number: int) -> str:
    """Return the temporary name next to ``path``."""
    folder, slash, _ = path.rpartition("/")
    return folder + slash + TEMPORARY.format(number=number)


def upload(place: Path, path: str) -> Upload:
    return Upload(path, place.stat().st_size, lambda: place.open("rb"))


if __name__ == "__main__":
    main()
