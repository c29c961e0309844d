"""Listing directories: MLSD (RFC 3659) where there is such a thing, else LIST in its Unix and Windows forms."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ftp_deploy.exceptions import FeatureMissing, PermissionRefused, TransferFailed
from ftp_deploy.transports.base import RemoteFile
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_data import fetch
from ftp_deploy.transports.ftp_replies import refusal
from ftp_deploy.transports.names import join

_UNIX = re.compile(
    r"^(?P<kind>[-dlbcpsDC])[-rwxsStTlL?+.@]{9,11}\s+(?:\d+\s+)?.*?\s(?P<size>\d+)\s+"
    r"(?:[A-Za-z]{3,}\.?\s+\d{1,2}|\d{1,2}\.?\s+[A-Za-z]{3,}\.?|\d{4}-\d\d-\d\d)\s+(?:\d{4}|\d{1,2}:\d\d(?::\d\d)?)\s"
    r"(?P<name>.+)$"
)
_WINDOWS = re.compile(
    r"^\d\d-\d\d-\d\d(?:\d\d)?\s+\d\d:\d\d\s*(?:[AP]M)?\s+(?:(?P<dir><DIR>|<JUNCTION>)|(?P<size>\d+))\s+(?P<name>.+)$"
)
_HERE = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in one directory. ``complete`` says that hidden files would be among the entries."""

    entries: tuple[RemoteFile, ...]
    complete: bool

    @property
    def proves_empty(self) -> bool:
        """Whether there certainly is nothing in it."""
        return self.complete and not self.entries


def list_directory(control: Control, path: str) -> Listing:
    """List a directory below the root ("" is the root itself); the entries have whole paths.

    Raises ``PermissionRefused`` for a missing one, where the server says so; vsftpd shows it as one without any entry.
    """
    full = join(control.server.root or "", path)
    doing = f"list the directory {path or '/'}"
    if control.server.traits.machine_listing is not False:
        try:
            text = fetch(control, f"MLSD {full}", doing=doing, path=path)
        except FeatureMissing:
            control.server.learn(machine_listing=False)
        else:
            return _read_machine(_lines(text), path)
    try:
        text = fetch(control, f"LIST -a {full}", doing=doing, path=path)
    except (PermissionRefused, FeatureMissing):  # some servers take "-a" for a part of the name
        text = fetch(control, f"LIST {full}", doing=doing, path=path)
    return _read_human(_lines(text), path)


def _lines(text: bytes) -> Iterator[str]:
    return (line.rstrip("\r") for line in text.decode("utf-8", "surrogateescape").split("\n") if line.strip())


def _read_machine(lines: Iterator[str], path: str) -> Listing:
    entries = []
    for line in lines:
        facts_text, _, name = line.partition(" ")
        facts = {key.lower(): value for key, _, value in (fact.partition("=") for fact in facts_text.split(";"))}
        kind = facts.get("type", "file").lower()
        if kind in ("cdir", "pdir") or name in _HERE:
            continue
        size = facts.get("size", "0")
        entries.append(
            RemoteFile(
                f"{path}/{name}" if path else name,
                size=int(size) if size.isdecimal() and kind != "dir" else 0,
                is_directory=kind == "dir",
                modified=_read_time(facts.get("modify", "")),
            )
        )
    return Listing(tuple(entries), complete=True)


def _read_time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _read_human(lines: Iterator[str], path: str) -> Listing:
    """Read LIST output. Only a listing that shows "." has obeyed the -a, and so proves anything about hidden files."""
    entries = []
    complete = False
    for line in lines:
        if line.lower().startswith("total "):
            continue
        match = _UNIX.match(line) or _WINDOWS.match(line)
        if match is None:
            raise TransferFailed(f"The listing of {path or '/'} is not readable: {line[:100]!r}.", path=path)
        fields = match.groupdict()
        kind = fields.get("kind") or ("d" if fields.get("dir") else "-")
        name = fields["name"].partition(" -> ")[0] if kind == "l" else fields["name"]
        complete = complete or name == "."
        if name not in _HERE:
            full = f"{path}/{name}" if path else name
            entries.append(RemoteFile(full, int(fields["size"] or 0) if kind != "d" else 0, kind == "d"))
    return Listing(tuple(entries), complete)


def remove_if_empty(control: Control, path: str) -> bool:
    """Remove a directory if a listing proves it empty; return whether it was removed."""
    if not list_directory(control, path).proves_empty:
        return False
    return control.ask(f"RMD {join(control.server.root or '', path)}").good


def sizes_in(control: Control, directory: str) -> dict[str, int]:
    """Return the sizes of the files in one directory, for servers without SIZE."""
    return {one.path: one.size for one in list_directory(control, directory).entries if not one.is_directory}


def check_directory(control: Control) -> None:
    """Make sure that the target's path is there. Raises ``PermissionRefused``."""
    reply = control.ask(f"CWD {join(control.server.root or '', '')}")
    if not reply.good:
        raise refusal(reply, f"open the path {control.target.path} of the service", "")
