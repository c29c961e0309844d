"""A deploy in a process of its own, to be killed: uploads what is missing under temporary names, then renames.

Reads a JSON object from standard input: ``target``, ``tree`` (path to content), ``applied`` (paths to leave out).
Writes one line for each file: "sent PATH", then "applied PATH".
"""

import json
import sys
from typing import Any

from ftp_deploy.transports import open_transport
from ftp_deploy.transports.base import Rename, Target
from tests.transports.contract import directories, make_upload, unguarded


def temporary(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.tmp-{name}" if folder else f".tmp-{name}"


def deploy(target: Target, tree: dict[str, bytes], applied: set[str], say: Any) -> None:
    left = sorted(set(tree) - applied)
    with open_transport(target) as transport:
        transport.make_directories(directories(left))
        sizes = transport.sizes([temporary(path) for path in left])
        missing = [path for path in left if sizes[temporary(path)] != len(tree[path])]
        for step in transport.upload([make_upload(temporary(path), tree[path]) for path in missing]):
            for path in step.done:
                say("sent", path)
        for step in transport.rename([Rename(temporary(path), path) for path in left], unguarded):
            for path in step.done:
                say("applied", path)


def main() -> None:
    job = json.load(sys.stdin)
    tree = {path: content.encode("latin-1") for path, content in job["tree"].items()}
    deploy(Target(**job["target"]), tree, set(job["applied"]), lambda *words: print(*words, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
