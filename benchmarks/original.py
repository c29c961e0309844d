"""The algorithm of 2014, written anew: for each file, look up each part of its path by a listing, then send it.

One connection, one file after the other, straight onto the live name.
"""

import ftplib
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    request: dict[str, Any] = json.loads(sys.argv[1])
    tree = Path(request["tree"])
    with ftplib.FTP() as connection:  # noqa: S321 (that is the point)
        connection.connect(request["host"], request["port"], 30)
        connection.login(request["username"], request["password"])
        for path in request["paths"]:
            send(connection, request["path"], path, tree / path)


def send(connection: ftplib.FTP, root: str, path: str, place: Path) -> None:
    connection.cwd(root)
    *folders, name = path.split("/")
    for folder in folders:
        if folder not in listed(connection):
            connection.mkd(folder)
        connection.cwd(folder)
    with place.open("rb") as file:
        connection.storbinary(f"STOR {name}", file)


def listed(connection: ftplib.FTP) -> set[str]:
    lines: list[str] = []
    connection.retrlines("LIST", lines.append)
    return {line.split(maxsplit=8)[-1] for line in lines}


if __name__ == "__main__":
    main()
