"""Which addresses a service may point at."""

import socket
from typing import Any

import pytest

from ftp_deploy.exceptions import AddressRefused, ConnectionFailed
from ftp_deploy.transports import addresses
from ftp_deploy.transports.addresses import is_public, open_socket, resolve

PRIVATE = (
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
)
PUBLIC = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused(host: str) -> None:
    assert not is_public(host)
    with pytest.raises(AddressRefused) as caught:
        resolve(host.partition("%")[0], 21, allow_private=False)
    assert "FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES" in caught.value.advice


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_pass(host: str) -> None:
    assert is_public(host)


def test_a_setting_allows_private_ones() -> None:
    assert resolve("127.0.0.1", 21, allow_private=True)[0].socket_address == ("127.0.0.1", 21)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_other_ways_to_write_loopback(host: str) -> None:
    with pytest.raises((AddressRefused, ConnectionFailed)):
        resolve(host, 21, allow_private=False)


@pytest.mark.parametrize("host", ["", "no such host.invalid", "a" * 300, "xn--a.invalid"])
def test_unknown_names(host: str) -> None:
    with pytest.raises((ConnectionFailed, AddressRefused)):
        resolve(host, 21, allow_private=False)


def test_a_mixed_answer_leaves_only_the_public_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 21)) for host in ("127.0.0.1", "8.8.8.8", "10.0.0.1")
        ]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", answer)
    assert [address.host for address in resolve("mixed.test", 21, allow_private=False)] == ["8.8.8.8"]


def test_the_next_address_is_tried() -> None:
    with socket.socket() as unused, socket.create_server(("127.0.0.1", 0)) as listener:
        unused.bind(("127.0.0.1", 0))
        dead = resolve("127.0.0.1", unused.getsockname()[1], allow_private=True)
        alive = resolve("127.0.0.1", listener.getsockname()[1], allow_private=True)
        with open_socket([*dead, *alive], 5) as connection:
            assert connection.getpeername() == listener.getsockname()
        with pytest.raises(ConnectionFailed, match="refused"):
            open_socket(dead, 5)
