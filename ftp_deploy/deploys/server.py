"""The server of a service during a run: connected when first needed, its learnt traits stored at the end."""

from types import TracebackType
from typing import Self

from ftp_deploy.models import Service
from ftp_deploy.transports.base import Transport


class Server:
    """A context manager around a transport: a run that has nothing to send never connects."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._transport: Transport | None = None

    def __enter__(self) -> Self:
        return self

    @property
    def transport(self) -> Transport:
        """The connected transport."""
        if self._transport is None:
            transport = self._service.transport()
            try:
                transport.connect()
            except BaseException:
                transport.close()
                raise
            self._transport = transport
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
