"""Packs on disk: written as they arrive, checked object by object, read without holding large objects in memory.

The format is described in gitformat-pack(5). An object is stored whole or as a delta, a recipe against another object
of the pack. Reading uses ``pread`` alone, so that any number of threads may read at once.
"""

import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from dulwich.pack import apply_delta

from ftp_deploy.exceptions import RepositoryError

COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
KINDS = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
BLOCK = 65_536
IN_MEMORY = 1024 * 1024
"""Objects of more bytes are worked on in files."""
MOST_LINKS = 10_000
"""The longest chain of deltas that is followed; git itself makes at most 4,095."""


class BrokenPack(RepositoryError):
    """What the forge sent is not a sound pack."""


@dataclass(slots=True)
class Entry:
    """One object of a pack. ``start`` is where its compressed data begins, ``size`` its own size in bytes.

    For a delta, ``base`` is the entry that it builds upon, and ``stored`` the size of the recipe.
    """

    kind: int
    start: int
    stored: int
    size: int
    base: "Entry | None" = None


class Pack:
    """One pack in a file. ``index`` once, then read.

    ``algorithm`` names the hash of the object ids; ``folder`` is where temporary files go.
    """

    def __init__(self, file: BinaryIO, algorithm: str = "sha1", folder: str | None = None) -> None:
        self._file = file
        self._folder = folder
        self._fd = file.fileno()
        self._algorithm = algorithm
        self._digest = hashlib.new(algorithm, usedforsecurity=False).digest_size
        self.entries: dict[str, Entry] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def index(self, max_bytes: int) -> None:
        """Go through the pack, check everything, and note where each object lies.

        Raises ``BrokenPack``, also where the objects together would be larger than ``max_bytes``.
        """
        length = os.fstat(self._fd).st_size
        if length < 12 + self._digest:
            raise BrokenPack("The forge sent no pack.")
        head = os.pread(self._fd, 12, 0)
        count = int.from_bytes(head[8:], "big")
        if head[:4] != b"PACK" or int.from_bytes(head[4:8], "big") not in (2, 3) or count > length // 2:
            raise BrokenPack("The forge sent a pack of an unknown format.")
        self._check_sum(length - self._digest)
        deltas = self._scan(count, length - self._digest, max_bytes)
        self._resolve(deltas, max_bytes)

    def _check_sum(self, end: int) -> None:
        found = hashlib.new(self._algorithm, usedforsecurity=False)
        for position in range(0, end, BLOCK):
            found.update(os.pread(self._fd, min(BLOCK, end - position), position))
        if os.pread(self._fd, self._digest, end) != found.digest():
            raise BrokenPack("The pack that the forge sent is damaged: its check-sum is wrong.")

    def _scan(self, count: int, end: int, max_bytes: int) -> "list[tuple[Entry, int | str]]":
        """Note the objects that are stored whole; return the deltas with the place or the id of their base."""
        self._by_place: dict[int, Entry] = {}
        deltas: list[tuple[Entry, int | str]] = []
        position = 12
        for _ in range(count):
            place = position
            kind, size, start, base = self._header(place)
            entry = Entry(kind, start, size, size)
            max_bytes -= size
            if max_bytes < 0:
                raise BrokenPack("The objects that the forge sent are larger than allowed.")
            self._by_place[place] = entry
            if base is None:
                digest = self._new_hash(kind, size)
                for block in (stream := Inflated(self._fd, start, size)):
                    digest.update(block)
                self.entries[digest.hexdigest()] = entry
            else:
                deltas.append((entry, base))
                for _block in (stream := Inflated(self._fd, start, size)):
                    pass
            position = stream.position
            if position > end:
                raise BrokenPack("The pack that the forge sent is cut short.")
        if position != end:
            raise BrokenPack("The pack that the forge sent holds more than it says.")
        return deltas

    def _header(self, place: int) -> "tuple[int, int, int, int | str | None]":
        """Return kind, size, start of the data, and for a delta the place or the id of its base."""
        data = os.pread(self._fd, 64, place)
        kind, size, shift, position = data[0] >> 4 & 7, data[0] & 15, 4, 1
        try:
            while data[position - 1] & 0x80:
                size |= (data[position] & 0x7F) << shift
                shift, position = shift + 7, position + 1
            base: int | str | None = None
            if kind == OFS_DELTA:
                back = data[position] & 0x7F
                while data[position] & 0x80:
                    position += 1
                    back = (back + 1) << 7 | data[position] & 0x7F
                position += 1
                base = place - back
            elif kind == REF_DELTA:
                base = data[position : position + self._digest].hex()
                position += self._digest
            elif kind not in KINDS:
                raise BrokenPack(f"The pack that the forge sent holds an object of the unknown kind {kind}.")
        except IndexError as error:
            raise BrokenPack("The pack that the forge sent is cut short.") from error
        return kind, size, place + position, base

    def _new_hash(self, kind: int, size: int) -> "hashlib._Hash":
        digest = hashlib.new(self._algorithm, usedforsecurity=False)
        digest.update(b"%s %d\0" % (KINDS[kind], size))
        return digest

    def _resolve(self, deltas: "list[tuple[Entry, int | str]]", max_bytes: int) -> None:
        """Find out what each delta stands for. A base is at hand when its deltas are worked on, then forgotten."""
        waiting: dict[int, list[Entry]] = {}
        by_id: dict[str, list[Entry]] = {}
        for entry, base in deltas:
            if isinstance(base, str):
                by_id.setdefault(base, []).append(entry)
                continue
            found = self._by_place.get(base)
            if found is None:
                raise BrokenPack("The pack that the forge sent has a delta without its base.")
            waiting.setdefault(id(found), []).append(entry)
        for object_id, entries in by_id.items():
            if object_id in self.entries:
                waiting.setdefault(id(self.entries[object_id]), []).extend(entries)
        self._by_place = {}
        resolved = 0
        for root in list(self.entries.values()):
            if id(root) in waiting:
                resolved += self._resolve_below(root, waiting, by_id, max_bytes)
        if resolved != len(deltas):
            raise BrokenPack("The pack that the forge sent has a delta without its base.")

    def _resolve_below(
        self, root: Entry, waiting: dict[int, list[Entry]], by_id: dict[str, list[Entry]], max_bytes: int
    ) -> int:
        """Resolve all deltas that build upon ``root``, directly or not; return how many these are."""
        stack = [(root, self.open(root))]
        try:
            return self._empty(stack, waiting, by_id, max_bytes)
        finally:
            for _entry, content in stack:
                content.close()

    def _empty(
        self,
        stack: "list[tuple[Entry, BinaryIO]]",
        waiting: dict[int, list[Entry]],
        by_id: dict[str, list[Entry]],
        max_bytes: int,
    ) -> int:
        """Work on the bases of the stack until none is left; return how many deltas were resolved."""
        done = 0
        while stack:
            base, content = stack.pop()
            with content:
                for entry in waiting.pop(id(base), ()):
                    entry.kind, entry.base = base.kind, base
                    target = self._apply(entry, content, max_bytes)
                    object_id = self._hash_of(entry, target)
                    self.entries[object_id] = entry
                    done += 1
                    waiting.setdefault(id(entry), []).extend(by_id.pop(object_id, ()))
                    if waiting[id(entry)]:
                        stack.append((entry, target))
                    else:
                        target.close()
        return done

    def _hash_of(self, entry: Entry, content: BinaryIO) -> str:
        digest = self._new_hash(entry.kind, entry.size)
        while block := content.read(BLOCK):
            digest.update(block)
        content.seek(0)
        return digest.hexdigest()

    def open(self, entry: Entry) -> BinaryIO:
        """Return an object's content as a file at its start; large ones lie in a temporary file."""
        chain = []
        link: Entry = entry
        while link.base is not None:
            chain.append(link)
            link = link.base
            if len(chain) > MOST_LINKS:
                raise BrokenPack("The pack that the forge sent has an endless chain of deltas.")
        content = self._whole(link.start, link.stored)
        for delta in reversed(chain):
            with content:
                content = self._apply(delta, content, delta.size)
        return content

    def _whole(self, start: int, size: int) -> BinaryIO:
        """Return what is stored at a place, decompressed."""
        return self._filled(size, Inflated(self._fd, start, size))

    def _filled(self, size: int, blocks: Iterable[bytes]) -> BinaryIO:
        """Return a file of ``size`` bytes at its start: in memory, or for many bytes on disk."""
        content: BinaryIO = BytesIO() if size <= IN_MEMORY else tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        try:
            for block in blocks:
                content.write(block)
                if content.tell() > size:
                    break
            if content.tell() != size:
                raise BrokenPack("The pack that the forge sent has a delta that does not fit its base.")
            content.seek(0)
        except BaseException:
            content.close()
            raise
        return content

    def _apply(self, entry: Entry, base: BinaryIO, max_bytes: int) -> BinaryIO:
        """Return what a delta makes of its base, and note its size."""
        with self._whole(entry.start, entry.stored) as recipe:
            base_size, entry.size = read_size(recipe), read_size(recipe)
            if entry.size > max_bytes or base_size != base.seek(0, os.SEEK_END):
                raise BrokenPack("The pack that the forge sent has a delta that does not fit its base.")
            if isinstance(base, BytesIO) and isinstance(recipe, BytesIO) and entry.size <= IN_MEMORY:
                try:
                    return BytesIO(b"".join(apply_delta(base.getvalue(), recipe.getvalue())))
                except Exception as error:
                    raise BrokenPack("The pack that the forge sent has a delta that does not fit its base.") from error
            return self._filled(entry.size, follow(recipe, base))


class Inflated:
    """Decompressed blocks of what lies at a place; afterwards ``position`` is the place behind it."""

    def __init__(self, fd: int, start: int, size: int) -> None:
        self.position = start
        self._fd = fd
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        unzip = zlib.decompressobj()
        left = self._size
        # Small objects are read in one step that takes little beyond them; compressed data is rarely larger than this.
        step = min(BLOCK, self._size + 64)
        try:
            while not unzip.eof:
                data = os.pread(self._fd, step, self.position)
                if not data:
                    raise BrokenPack("The pack that the forge sent is cut short.")
                self.position += len(data)
                while data and not unzip.eof:
                    block = unzip.decompress(data, BLOCK)
                    data = unzip.unconsumed_tail
                    left -= len(block)
                    if left < 0:
                        raise BrokenPack("The pack that the forge sent holds an object larger than it says.")
                    if block:
                        yield block
        except zlib.error as error:
            raise BrokenPack("The pack that the forge sent is damaged.") from error
        if left:
            raise BrokenPack("The pack that the forge sent holds an object smaller than it says.")
        self.position -= len(unzip.unused_data)


def read_size(recipe: BinaryIO) -> int:
    """Read a number as deltas store it: seven bits a byte, the lowest first."""
    size = shift = 0
    while byte := recipe.read(1):
        size |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return size
    raise BrokenPack("The pack that the forge sent has an empty delta.")


def follow(recipe: BinaryIO, base: BinaryIO) -> Iterator[bytes]:
    """Yield what a delta makes of its base; both are read from where they are needed, never whole."""
    while command := recipe.read(1):
        code = command[0]
        if code & 0x80:
            try:
                offset = sum(recipe.read(1)[0] << 8 * bit for bit in range(4) if code & 1 << bit)
                size = sum(recipe.read(1)[0] << 8 * bit for bit in range(3) if code & 0x10 << bit) or 0x10000
            except IndexError as error:
                raise BrokenPack("The pack that the forge sent has a delta that is cut short.") from error
            base.seek(offset)
        elif code:
            size = code
        else:
            raise BrokenPack("The pack that the forge sent has a delta with an unknown command.")
        source = base if code & 0x80 else recipe
        while size:
            block = source.read(min(size, BLOCK))
            if not block:
                raise BrokenPack("The pack that the forge sent has a delta that does not fit its base.")
            size -= len(block)
            yield block
