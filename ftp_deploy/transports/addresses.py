"""Which addresses a service may point at, and connecting to them.

A host name is resolved once. Every resolved address is judged, and the socket is connected to that very address, so
that a name which changes its answer in between (DNS rebinding) leads nowhere else. Data connections go to the address
of the control connection. The asyncssh transport takes its connected socket from here as well.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ftp_deploy.exceptions import AddressRefused, ConnectionFailed

Watch = Callable[[socket.socket], None]
"""Told of each socket before it connects, so that another thread can shut it down."""

NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Address:
    """One resolved and permitted address; ``socket_address`` is what ``socket.connect`` takes."""

    family: socket.AddressFamily
    socket_address: tuple[str, int] | tuple[str, int, int, int]

    @property
    def host(self) -> str:
        """The numeric address."""
        return self.socket_address[0]

    def with_port(self, port: int) -> "Address":
        """Return the same host on another port."""
        first, _port, *rest = self.socket_address
        return Address(self.family, (first, port, *rest))  # type: ignore[arg-type]


def is_public(host: str) -> bool:
    """Return whether a numeric address is one that the whole internet can reach.

    False for private, loopback, link-local (cloud metadata among them), shared, multicast and reserved addresses, also
    where they are written as an IPv6 address that stands for an IPv4 one.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host: str, port: int, *, allow_private: bool) -> tuple[Address, ...]:
    """Return the addresses of ``host`` that may be used, in the system's order.

    Raises ``ConnectionFailed`` for an unknown name, and ``AddressRefused`` where no address is permitted.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionFailed(
            f"The host name {host!r} could not be resolved: {error}.", advice="Check the host of the service."
        ) from error
    addresses = tuple(Address(family, where) for family, _, _, _, where in found)  # type: ignore[arg-type]
    allowed = tuple(address for address in addresses if allow_private or is_public(address.host))
    if not allowed:
        refused = ", ".join(sorted({address.host for address in addresses}))
        raise AddressRefused(f"{host} points at {refused}, which is not a public address.")
    return allowed


def open_socket(addresses: Sequence[Address], timeout: float, watch: Watch | None = None) -> socket.socket:
    """Return a socket connected to the first address that answers, within ``timeout`` seconds for all of them.

    Raises ``ConnectionFailed``. The socket has its Nagle delay off and its keep-alive on.
    """
    deadline = time.monotonic() + timeout
    failures = []
    for number, address in enumerate(addresses):
        left = max(1.0, deadline - time.monotonic()) / (len(addresses) - number)
        try:
            return connect(address, left, watch)
        except OSError as error:
            failures.append(f"{address.host} port {address.socket_address[1]}: {describe(error, left)}")
    raise ConnectionFailed(f"No connection to {'; '.join(failures)}.", advice="Check the host and port of the service.")


def connect(address: Address, timeout: float, watch: Watch | None = None) -> socket.socket:
    """Return a socket connected to ``address``. Raises ``OSError``."""
    connection = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
        if watch:
            watch(connection)
        connection.connect(address.socket_address)
    except BaseException:
        connection.close()
        raise
    return connection


def describe(error: OSError, timeout: float) -> str:
    """Return what went wrong in words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:.0f} seconds"
    return (error.strerror or str(error) or type(error).__name__).lower()
