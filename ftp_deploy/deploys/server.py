"""The server of a service during a run: connected when first needed, its learnt traits stored at the end."""

from types import TracebackType
from typing import Self

from ftp_deploy.deploys.waiting import wait_for
from ftp_deploy.models import Service
from ftp_deploy.transports.base import Guard, Transport


class Server:
    """A context manager around a transport: a run that has nothing to send never connects.

    ``guard`` is called while a connection is made; what it raises ends the wait.
    """

    def __init__(self, service: Service, guard: Guard) -> None:
        self._service = service
        self._guard = guard
        self._transport: Transport | None = None
        self._files = 1

    def __enter__(self) -> Self:
        return self

    def expect(self, files: int) -> None:
        """Say how many files will be sent: as many connections as that needs are opened early."""
        self._files = files
        if self._transport is not None:
            self._transport.expect(files)

    @property
    def transport(self) -> Transport:
        """The connected transport."""
        if self._transport is None:
            transport = self._service.transport()
            transport.expect(self._files)
            self._transport = wait_for(lambda: connected(transport), self._guard, Transport.close)
        return self._transport

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is None:
            return
        self._transport.close()
        learnt = self._transport.traits.as_json()
        if learnt != self._service.traits:
            Service.objects.filter(pk=self._service.pk).update(traits=learnt)


def connected(transport: Transport) -> Transport:
    """Connect a transport and return it; one that cannot connect is closed."""
    try:
        transport.connect()
    except BaseException:
        transport.close()
        raise
    return transport
