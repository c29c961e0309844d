"""Short commands by the hundred: renames, deletes, directories, sizes.

They go out in batches, each over one connection with many commands under way; several connections work side by side.
Every reply is read. A refused command is repeated alone before the refusal is believed: with full buffers a server was
seen to misread one in thousands.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ftp_deploy.exceptions import TransferFailed
from ftp_deploy.transports.base import Progress, Rename
from ftp_deploy.transports.crew import Lane
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_hashes import command_of
from ftp_deploy.transports.ftp_replies import Reply, refusal
from ftp_deploy.transports.names import join

Item = TypeVar("Item")

BATCH = 16
LARGEST_BATCH = 96
"""Items that share one call of the guard: at least and at most."""


@dataclass(slots=True)
class Batch(Generic[Item]):
    """Some items. Those that are done leave it, so that a second try does only the rest.

    ``tried`` says that an earlier try broke off, perhaps after the server had done what it was told.
    """

    items: list[Item]
    tried: bool = False
    found: dict[str, int | None] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"A batch of {len(self.items)}"


def batches(items: Sequence[Item], connections: int) -> list[Batch[Item]]:
    """Cut a sequence into batches: large ones, for each end of a batch is a round trip, but two for each connection."""
    size = max(BATCH, min(LARGEST_BATCH, -(-len(items) // (2 * connections))))
    return [Batch(list(items[start : start + size])) for start in range(0, len(items), size)]


def _each(lane: Lane[Batch[Item]]) -> Iterator[tuple[Batch[Item], bool]]:
    """Take batches until there are none, each with whether it was tried before."""
    while (batch := lane.take()) is not None:
        tried, batch.tried = batch.tried, True
        yield batch, tried
        lane.done()


def _report(lane: Lane[Batch[Item]], paths: Sequence[str]) -> None:
    if paths:
        lane.report(Progress(done=tuple(paths), current=paths[-1]))


def exists(control: Control, paths: Sequence[str]) -> list[bool]:
    """Return for each full path whether something is there: SIZE finds files, CWD directories.

    RNFR finds both, but ProFTPD takes nothing but RNTO after it. It is used where the server knows no SIZE. Raises what
    the server says where it does not tell.
    """
    if control.server.size_works:
        replies = control.exchange([command for path in paths for command in (f"SIZE {path}", f"CWD {path}")])
        for reply in replies:
            if 400 <= reply.code < 500:
                raise refusal(reply, "tell what is there")
        if not any(reply.unknown_command for reply in replies[::2]):
            pairs = zip(replies[::2], replies[1::2], strict=True)
            return [size.code == 213 or directory.good for size, directory in pairs]
    return [reply.code == 350 for reply in control.exchange([f"RNFR {path}" for path in paths])]


def make_directories(control: Control, lane: Lane[Batch[str]]) -> None:
    """Make each directory; one that exists is fine."""
    root = control.server.root or ""
    for batch, _ in _each(lane):
        replies = control.exchange([f"MKD {join(root, path)}" for path in batch.items])
        doubtful = [(path, reply) for path, reply in zip(batch.items, replies, strict=True) if not reply.good]
        checks = control.exchange([f"CWD {join(root, path)}" for path, _ in doubtful])
        for (path, reply), check in zip(doubtful, checks, strict=True):
            if not check.good and not control.ask(f"MKD {join(root, path)}").good:
                raise refusal(reply, f"make the directory {path}", path)


def measure(control: Control, lane: Lane[Batch[str]]) -> None:
    """Put the size of each file into ``found``; None for one that does not exist."""
    root = control.server.root or ""
    for batch, _ in _each(lane):
        replies = control.exchange([f"SIZE {join(root, path)}" for path in batch.items])
        for path, reply in zip(batch.items, replies, strict=True):
            if reply.unknown_command:
                control.server.size_works = False
                break
            if 400 <= reply.code < 500:
                raise refusal(reply, f"tell the size of {path}", path)
            digits = reply.text.strip().split(" ")[-1]
            batch.found[path] = int(digits) if reply.code == 213 and digits.isdecimal() else None


def hash_files(control: Control, lane: Lane[Batch[str]]) -> None:
    """Put into ``replies`` what the server says when it is asked for the hash of each file."""
    root = control.server.root or ""
    command = command_of(control.server.traits.hash_command or "")
    for batch, _ in _each(lane):
        replies = control.exchange([f"{command} {join(root, path)}" for path in batch.items])
        batch.replies.update(zip(batch.items, replies, strict=True))


def delete(control: Control, lane: Lane[Batch[str]]) -> None:
    """Delete files; one that is not there is done."""
    root = control.server.root or ""
    for batch, _ in _each(lane):
        replies = control.exchange([f"DELE {join(root, path)}" for path in batch.items])
        refused = [path for path, reply in zip(batch.items, replies, strict=True) if not reply.good]
        there = exists(control, [join(root, path) for path in refused])
        left = [path for path, still in zip(refused, there, strict=True) if still]
        _report(lane, [path for path in batch.items if path not in left])
        batch.items = left
        for path in left:
            reply = control.ask(f"DELE {join(root, path)}")
            if not reply.good:
                raise refusal(reply, f"delete {path}", path)
            _report(lane, [path])


def rename(control: Control, lane: Lane[Batch[Rename]]) -> None:
    """Rename files over their final names."""
    for batch, tried in _each(lane):
        doubtful = _rename_together(control, batch.items)
        _report(lane, [one.path for one in batch.items if one not in doubtful])
        batch.items = doubtful
        for one in list(doubtful):
            _rename_alone(control, one, tried)
            _report(lane, [one.path])
            batch.items.remove(one)


def _rename_together(control: Control, renames: Sequence[Rename]) -> list[Rename]:
    """Rename with all commands under way at once; return those that were not confirmed."""
    root = control.server.root or ""
    pairs = [(join(root, one.source), join(root, one.path)) for one in renames]
    if control.server.traits.rename_over is False:
        # Deleting comes first here, so nothing may be deleted that has no successor waiting.
        ready = exists(control, [source for source, _ in pairs])
        going = [one for one, there in zip(renames, ready, strict=True) if there]
        commands: list[tuple[str, ...]] = [(f"DELE {join(root, one.path)}", *_pair(root, one)) for one in going]
    else:
        going = list(renames)
        commands = [_pair(root, one) for one in going]
    replies = control.exchange([command for group in commands for command in group])
    width = len(commands[0]) if commands else 1
    groups = [replies[start : start + width] for start in range(0, len(replies), width)]
    confirmed = {one for one, group in zip(going, groups, strict=True) if group[-2].code == 350 and group[-1].good}
    return [one for one in renames if one not in confirmed]


def _pair(root: str, one: Rename) -> tuple[str, str]:
    return f"RNFR {join(root, one.source)}", f"RNTO {join(root, one.path)}"


def _rename_alone(control: Control, one: Rename, tried: bool) -> None:
    root = control.server.root or ""
    doing = f"put the new {one.path} in its place"
    first, second = _pair(root, one)
    ready = control.ask(first)
    if ready.code != 350:
        if tried and ready.code >= 500 and exists(control, [join(root, one.path)])[0]:
            return  # the earlier try had done it; only its reply was lost
        raise refusal(ready, doing, one.path)
    reply = control.ask(second)
    if reply.good:
        return
    if reply.code in (501, 503):  # "Bad sequence": the server lost the RNFR before it; a fresh connection helps
        raise TransferFailed(f"The server refused to {doing}: {reply}.", path=one.path, reply=str(reply))
    if not exists(control, [join(root, one.path)])[0]:
        raise refusal(reply, doing, one.path)
    _replace(control, one, reply)


def _replace(control: Control, one: Rename, reply: Reply) -> None:
    """Replace a file where the server renames over nothing: move the old one aside, and back if that was not it.

    A directory is not a file: it stays, whoever made it.
    """
    root = control.server.root or ""
    if control.ask(f"CWD {join(root, one.path)}").good:
        raise refusal(reply, f"put the new {one.path} in its place, where a directory is", one.path)
    folder = one.path.rpartition("/")[0]
    aside = f"{folder}/" * bool(folder) + f".ftp-deploy-old-{secrets.token_hex(6)}"
    if not _move(control, one.path, aside):
        raise refusal(reply, f"put the new {one.path} in its place", one.path)
    if not _move(control, one.source, one.path):
        _move(control, aside, one.path)
        raise refusal(reply, f"put the new {one.path} in its place", one.path)
    control.server.learn(rename_over=False)
    control.ask(f"DELE {join(root, aside)}")


def _move(control: Control, source: str, path: str) -> bool:
    replies = [control.ask(command) for command in _pair(control.server.root or "", Rename(source, path))]
    return replies[0].code == 350 and replies[1].good
