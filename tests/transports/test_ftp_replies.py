"""Replies, hashes, fingerprints and listings, without a server."""

import hashlib
import io
import zlib

import pytest

from ftp_deploy.exceptions import (
    ConfigurationError,
    FeatureMissing,
    LoginRefused,
    PermissionRefused,
    StorageFull,
    TooManyConnections,
    TransferFailed,
)
from ftp_deploy.transports import ftp_listing, ftp_upload
from ftp_deploy.transports.ftp_hashes import Hasher, hasher_for, read_hash
from ftp_deploy.transports.ftp_replies import Reply, clean, refusal
from ftp_deploy.transports.ftp_server import best_hash
from ftp_deploy.transports.ftp_tls import normal_fingerprint, show_fingerprint


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (425, "x", TransferFailed),
        (426, "x", TransferFailed),
        (450, "x", TransferFailed),
        (451, "x", TransferFailed),
        (452, "x", StorageFull),
        (552, "x", StorageFull),
        (530, "Login incorrect", LoginRefused),
        (530, "Too many connections for this user", TooManyConnections),
        (530, "Sorry, the maximum number of clients (3) are already connected.", TooManyConnections),
        (502, "x", FeatureMissing),
        (522, "SSL session reuse required", FeatureMissing),
        (550, "x", PermissionRefused),
        (553, "x", PermissionRefused),
        (599, "x", PermissionRefused),
        (499, "x", TransferFailed),
    ],
)
def test_each_reply_is_a_decision(code: int, text: str, kind: type) -> None:
    error = refusal(Reply(code, text), "upload a.html", "a.html")
    assert type(error) is kind
    assert (error.code, error.path) == (code, "a.html")
    assert str(code) in error.message
    assert "a.html" in error.message


def test_words_of_a_server_are_made_harmless() -> None:
    assert clean("User u\r\n\x1b[31m password hunter2 " + "x" * 1000, ("hunter2",)).startswith(
        "User u [31m password ***"
    )
    assert len(clean("x" * 10_000)) == 300


@pytest.mark.parametrize(
    ("features", "best"),
    [
        (("HASH CRC32;MD5;SHA-1*;SHA-256;SHA-512;", "XCRC"), "HASH SHA-256"),
        (("HASH SHA-1*;MD5",), "HASH SHA-1"),
        (("XCRC", "XMD5"), "XMD5"),
        (("XCRC filename;start;end",), "XCRC"),
        (("HASH WHIRLPOOL;TIGER*", "XSHA1"), "XSHA1"),
        (("SIZE",), None),
    ],
)
def test_the_best_hash(features: tuple[str, ...], best: str | None) -> None:
    assert best_hash(features) == best


@pytest.mark.parametrize("name", ["HASH SHA-256", "HASH SHA-1", "HASH MD5", "HASH CRC32", "XSHA256", "XMD5", "XCRC"])
def test_hashes_match_and_differ(name: str) -> None:
    hasher, other = Hasher(name), Hasher(name)
    hasher.update(b"con")
    hasher.update(memoryview(b"tent"))
    other.update(b"Content")
    digest = hasher.hexdigest()
    assert read_hash(f"SHA-256 0-7 {digest} /a file 7.txt", hasher.hexdigest())
    assert read_hash(digest.upper(), hasher.hexdigest())
    assert not read_hash(f"SHA-256 0-7 {other.hexdigest()} /a file 7.txt", hasher.hexdigest())


def test_hash_algorithms() -> None:
    hasher = Hasher("XCRC")
    hasher.update(b"content")
    assert int(hasher.hexdigest(), 16) == zlib.crc32(b"content")
    sha = Hasher("HASH SHA-256")
    sha.update(b"content")
    assert sha.hexdigest() == hashlib.sha256(b"content").hexdigest()
    assert hasher_for("XYZZY") is None
    assert hasher_for(None) is None


def test_a_crc_without_leading_zeros() -> None:
    hasher = Hasher("XCRC")
    hasher.update(next(str(n).encode() for n in range(10_000) if zlib.crc32(str(n).encode()) < 0x0100_0000))
    assert read_hash(hasher.hexdigest().lstrip("0"), hasher.hexdigest())


def test_fingerprints() -> None:
    shown = show_fingerprint(b"certificate")
    plain = hashlib.sha256(b"certificate").hexdigest()
    assert {normal_fingerprint(text) for text in (shown, plain, plain.upper(), f"sha256 {plain}")} == {plain}
    with pytest.raises(ConfigurationError):
        normal_fingerprint("SHA256:" + "A" * 63)


LISTINGS = [
    ("-rw-r--r--    1 0        0            1234 Feb 29  2024 page one.html", ("page one.html", 1234, False)),
    ("-rw-rw-rw- 1 user group 5 Nov 22 20:43 a -> b.txt", ("a -> b.txt", 5, False)),
    ("drwxr-xr-x    2 ftp      ftp          4096 Jan 01 10:00 sub", ("sub", 0, True)),
    ("lrwxrwxrwx    1 0 0 7 Jan 01 10:00 link -> target", ("link", 7, False)),
    ("-rw-r--r--+   1 u g 99 2024-02-29 10:00 iso.txt", ("iso.txt", 99, False)),
    ("02-29-24  10:00AM       <DIR>          wwwroot", ("wwwroot", 0, True)),
    ("02-29-2024  10:00PM                 1234 web config.xml", ("web config.xml", 1234, False)),
]


@pytest.mark.parametrize(("line", "expected"), LISTINGS, ids=[expected[0] for _, expected in LISTINGS])
def test_listings(line: str, expected: tuple[str, int, bool]) -> None:
    (entry,) = ftp_listing._read_human(iter([line]), "").entries
    assert (entry.path, entry.size, entry.is_directory) == expected


def test_an_unreadable_listing_is_an_error_and_no_empty_directory() -> None:
    with pytest.raises(TransferFailed, match="not readable"):
        ftp_listing._read_human(iter(["what is this"]), "a")


def test_only_a_listing_with_a_dot_proves_anything() -> None:
    dot = "drwxr-xr-x    2 0 0 4096 Jan 01 10:00 ."
    assert ftp_listing._read_human(iter([dot]), "a").proves_empty
    assert not ftp_listing._read_human(iter([]), "a").proves_empty
    assert not ftp_listing._read_human(iter([dot, LISTINGS[0][0]]), "a").proves_empty


def test_the_line_with_the_total_is_no_file() -> None:
    assert [entry.path for entry in ftp_listing._read_human(iter(["total 8", LISTINGS[2][0]]), "").entries] == ["sub"]


@pytest.mark.parametrize(("fact", "year"), [("20240229120000.1", 2024), ("yesterday", None), ("20240230120000", None)])
def test_a_time_that_is_none_is_left_out(fact: str, year: int | None) -> None:
    found = ftp_listing._read_time(fact)
    assert (found.year if found else None) == year


class ReadOnly:
    """A stream that has nothing but ``read``."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


def test_a_stream_without_readinto_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ftp_upload, "BLOCK", 4)
    blocks = [bytes(block) for block in ftp_upload._blocks(ReadOnly(b"0123456789"), 10)]  # type: ignore[arg-type]
    assert blocks == [b"0123", b"4567", b"89"]
