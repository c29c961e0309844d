"""Packs: sound ones are read exactly, all others are refused with an error of ours."""

import hashlib
import os
import tempfile
import zlib
from io import BytesIO
from itertools import pairwise

import pytest
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import Blob
from dulwich.pack import write_pack_objects
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ftp_deploy.repository import pack as pack_module
from ftp_deploy.repository.pack import BLOB, KINDS, OFS_DELTA, REF_DELTA, BrokenPack, Pack, follow

PLENTY = 1 << 30


def indexed(data, max_bytes=PLENTY):
    """Index a pack given as bytes."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the pack closes it
    file.write(data)
    file.flush()
    pack = Pack(file)
    try:
        pack.index(max_bytes)
    except BaseException:
        pack.close()
        raise
    return pack


def read_all(pack):
    """Return the content of every object by id, and close the pack."""
    found = {}
    for object_id, entry in pack.entries.items():
        with pack.open(entry) as file:
            found[object_id] = file.read()
        assert entry.size == len(found[object_id])
    pack.close()
    return found


def blob_id(content):
    return Blob.from_string(content).id.decode()


def pack_of(contents, *, deltify=False):
    written = BytesIO()
    blobs = list({blob.id: blob for blob in map(Blob.from_string, contents)}.values())
    write_pack_objects(written.write, blobs, DEFAULT_OBJECT_FORMAT, deltify=deltify)
    return written.getvalue()


def header(kind, size):
    """Return an object's header: its kind and size, as a pack stores them."""
    byte, size = kind << 4 | size & 15, size >> 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    return bytes([*out, byte])


def sealed(count, *parts):
    """Return a pack made of raw parts, with a good check-sum."""
    body = b"PACK" + (2).to_bytes(4, "big") + count.to_bytes(4, "big") + b"".join(parts)
    return body + hashlib.sha1(body).digest()


def stored(kind, content, size=None, extra=b""):
    return header(kind, len(content) if size is None else size) + extra + zlib.compress(content)


def number(size):
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def copy(offset, size):
    """Return a delta's command to copy from the base, with all its bytes written out."""
    return b"\xff" + offset.to_bytes(4, "little") + size.to_bytes(3, "little")


@pytest.mark.parametrize("deltify", [False, True])
def test_sound_packs_are_read_exactly(deltify):
    noise = os.urandom(5000)
    contents = [b"", b"x", noise, noise + b"more", noise[:2500] + b"other" + noise[2500:], b"y" * 100_000]
    pack = indexed(pack_of(contents, deltify=deltify))
    assert read_all(pack) == {blob_id(content): content for content in contents}


@pytest.mark.parametrize("by_id", [False, True])
def test_chains_of_deltas_in_any_order(by_id, monkeypatch):
    """Three links, in memory and, with the bound for that lowered, in files."""
    base = os.urandom(3000)
    versions = [base]
    for step in range(3):
        versions.append(versions[-1] + b"step %d" % step)
    deltas = [
        number(len(old)) + number(len(new)) + copy(0, len(old)) + bytes([len(new) - len(old)]) + new[len(old) :]
        for old, new in pairwise(versions)
    ]
    if by_id:
        ids = [bytes.fromhex(blob_id(version)) for version in versions]
        parts = [stored(REF_DELTA, delta, extra=ids[index]) for index, delta in enumerate(deltas)][::-1]
        parts.insert(1, stored(BLOB, base))
    else:
        parts = [stored(BLOB, base)]
        for delta in deltas:
            parts.append(stored(OFS_DELTA, delta, extra=offset_back(len(parts[-1]))))
    expected = {blob_id(version): version for version in versions}
    data = sealed(len(parts), *parts)
    assert read_all(indexed(data)) == expected
    monkeypatch.setattr(pack_module, "IN_MEMORY", 10)
    assert read_all(indexed(data)) == expected


def offset_back(distance):
    """Return the distance to a delta's base, as a pack stores it."""
    out = [distance & 0x7F]
    distance >>= 7
    while distance:
        distance -= 1
        out.insert(0, distance & 0x7F | 0x80)
        distance >>= 7
    return bytes(out)


GOOD = pack_of([b"one" * 50, b"two" * 70, b"three"])


@settings(max_examples=300, deadline=None)
@example(place=12, change=112, repair=True)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.booleans())
def test_a_changed_byte_is_noticed(place, change, repair):
    """Also where somebody has made the check-sum right again: then the ids are others, or the pack is refused."""
    data = bytearray(GOOD)
    data[place] ^= change
    if repair:
        data[-20:] = hashlib.sha1(data[:-20]).digest()
    try:
        pack = indexed(bytes(data))
        kinds = {object_id: KINDS[entry.kind] for object_id, entry in pack.entries.items()}
        found = read_all(pack)
    except BrokenPack:
        return
    assert repair
    for object_id, content in found.items():
        assert object_id == hashlib.sha1(b"%s %d\0%s" % (kinds[object_id], len(content), content)).hexdigest()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 5))
def test_noise_is_refused(noise, count):
    try:
        read_all(indexed(sealed(count, noise)))
    except BrokenPack:
        return
    assert count == 0 or noise


@pytest.mark.parametrize("length", range(0, len(GOOD), 7))
def test_a_pack_cut_short_is_refused(length):
    with pytest.raises(BrokenPack):
        indexed(GOOD[:length])


BASE = stored(BLOB, b"base content")
BACK = offset_back(len(BASE))


@pytest.mark.parametrize(
    ("what", "parts"),
    [
        ("smaller than it says", [stored(BLOB, b"abc", size=5)]),
        ("larger than it says", [stored(BLOB, b"abcdef" * 50, size=5)]),
        ("unknown kind", [stored(5, b"abc")]),
        ("without its base", [stored(REF_DELTA, b"\x01\x01\x01a", extra=b"\x11" * 20)]),
        ("without its base", [stored(OFS_DELTA, b"\x01\x01\x01a", extra=offset_back(5))]),
        ("does not fit", [BASE, stored(OFS_DELTA, b"\x05\x01\x01a", extra=BACK)]),
        ("does not fit", [BASE, stored(OFS_DELTA, b"\x0c\x40" + copy(0, 64), extra=BACK)]),
        ("does not fit", [BASE, stored(OFS_DELTA, b"\x0c\x05\x01a", extra=BACK)]),
        ("empty delta", [BASE, stored(OFS_DELTA, b"", extra=BACK)]),
        ("holds more than it says", [BASE, b"tail"]),
        ("cut short", [BASE, b"\xb0" + b"\x80" * 80]),
    ],
)
def test_crafted_packs_are_refused(what, parts):
    count = sum(part != b"tail" for part in parts)
    with pytest.raises(BrokenPack, match=what):
        indexed(sealed(count, *parts))


def test_deltas_on_files_check_the_same(monkeypatch):
    monkeypatch.setattr(pack_module, "IN_MEMORY", 1)
    for recipe in (b"\x0c\x40" + copy(0, 64), b"\x0c\x05\x01a", b"\x0c\x05\x00", b"\x0c\x05\x05a", b"\x0c\x05\xff\x00"):
        with pytest.raises(BrokenPack):
            indexed(sealed(2, BASE, stored(OFS_DELTA, recipe, extra=BACK)))


def test_a_bomb_is_refused_before_it_goes_off():
    with pytest.raises(BrokenPack, match="larger than allowed"):
        indexed(sealed(1, stored(BLOB, b"\0" * 10_000_000)), max_bytes=1_000_000)
    grown = number(12) + number(50_000_000) + copy(0, 12)
    with pytest.raises(BrokenPack):
        indexed(sealed(2, BASE, stored(OFS_DELTA, grown, extra=BACK)), max_bytes=1_000_000)


def test_a_copy_of_size_zero_means_64_kibibytes():
    base = os.urandom(0x10000)
    assert b"".join(follow(BytesIO(b"\x80"), BytesIO(base))) == base


def test_a_chain_of_deltas_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(pack_module, "MOST_LINKS", 2)
    versions = [b"base content" + b"x" * step for step in range(4)]
    parts = [stored(BLOB, versions[0])]
    for old, new in pairwise(versions):
        delta = number(len(old)) + number(len(new)) + copy(0, len(old)) + b"\x01x"
        parts.append(stored(OFS_DELTA, delta, extra=offset_back(len(parts[-1]))))
    pack = indexed(sealed(4, *parts))
    with pytest.raises(BrokenPack, match="endless chain"):
        pack.open(pack.entries[blob_id(versions[3])])
    with pack.open(pack.entries[blob_id(versions[2])]) as file:
        assert file.read() == versions[2]
    pack.close()
