"""SFTP packets: what is sent and what is read."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftp_deploy.transports.sftp_protocol import (
    WRITE_OVERHEAD,
    Attributes,
    Kind,
    ProtocolBroken,
    Reader,
    init,
    open_fields,
    read_fields,
    request,
    string,
    write_fields,
)

NUMBERS = st.integers(0, 2**32 - 1)


def test_init_asks_for_version_3() -> None:
    assert init() == b"\0\0\0\5\1\0\0\0\3"


def test_an_open_request() -> None:
    packet = request(Kind.OPEN, 7, *open_fields(b"/a", 0x1A))
    assert packet == struct.pack(">IBII2sII", len(packet) - 4, 3, 7, 2, b"/a", 0x1A, 0)


def test_a_write_request_is_as_long_as_it_says() -> None:
    packet = request(Kind.WRITE, 1, *write_fields(b"hand", 2**40, b"data"))
    assert len(packet) == WRITE_OVERHEAD + len(b"hand") + len(b"data")
    assert packet.endswith(struct.pack(">QI", 2**40, 4) + b"data")


def test_a_read_request() -> None:
    assert b"".join(read_fields(b"h", 5, 10)) == struct.pack(">IcQI", 1, b"h", 5, 10)


@given(
    st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    st.one_of(st.none(), NUMBERS),
    st.one_of(st.none(), NUMBERS),
)
def test_attributes_come_back(size: int | None, permissions: int | None, modified: int | None) -> None:
    attributes = Attributes(size, permissions, modified)
    reader = Reader(attributes.encode())
    assert reader.attributes() == attributes
    assert reader.left == 0


def test_owner_and_extended_attributes_are_passed_over() -> None:
    flags = 0x80000000 | 0x0F
    fields = struct.pack(">IQIIIII", flags, 5, 1000, 1000, 0o100644, 11, 22)
    reader = Reader(fields + struct.pack(">I", 1) + string(b"acl@x") + string(b"y") + b"rest")
    assert reader.attributes() == Attributes(5, 0o100644, 22)
    assert reader.left == 4


def test_a_listing() -> None:
    names = struct.pack(">I", 2) + b"".join(
        string(name) + string(b"-rw-r--r-- long") + Attributes(3, mode).encode()
        for name, mode in ((b"a", 0o100644), (b"\xff", 0o040755))
    )
    first, second = Reader(names).names()
    assert (first.name, first.attributes.is_directory) == (b"a", False)
    assert (second.name, second.attributes.is_directory) == (b"\xff", True)


def test_a_status_without_words() -> None:
    assert Reader(struct.pack(">I", 4)).status().code == 4


def test_limits_of_zero_mean_none() -> None:
    limits = Reader(struct.pack(">QQQQ", 0, 0, 261120, 0)).limits()
    assert (limits.read, limits.write, limits.handles) == (32768, 261120, 0)


@given(st.binary(max_size=60))
def test_garbage_is_an_error_of_ours(packet: bytes) -> None:
    for read in (Reader.names, Reader.attributes, Reader.status, Reader.limits, Reader.extensions, Reader.string):
        reader = Reader(packet)
        try:
            read(reader)
        except ProtocolBroken:
            assert reader.left <= len(packet)


def test_a_name_that_claims_to_be_longer_than_the_packet() -> None:
    with pytest.raises(ProtocolBroken):
        Reader(struct.pack(">I", 2**31) + b"x").string()
