"""The protocols. A new one is one module and one line in ``REGISTRY``, or in the ``FTP_DEPLOY_TRANSPORTS`` setting."""

from collections.abc import Mapping
from importlib import import_module

from ftp_deploy.exceptions import ConfigurationError
from ftp_deploy.transports.base import Target, Transport

REGISTRY: dict[str, tuple[str, str]] = {
    "ftp": ("FTP", "ftp_deploy.transports.ftp.FTP"),
    "ftps": ("FTPS (explicit TLS)", "ftp_deploy.transports.ftp.ExplicitFTPS"),
    "ftps-implicit": ("FTPS (implicit TLS)", "ftp_deploy.transports.ftp.ImplicitFTPS"),
    "sftp": ("SFTP", "ftp_deploy.transports.sftp.SFTP"),
}
"""Name: label, dotted path. The module is imported when it is first used."""


def transport_class(protocol: str, further: Mapping[str, str] | None = None) -> type[Transport]:
    """Return the class that speaks ``protocol``; ``further`` adds to or overrides the registry."""
    path = (further or {}).get(protocol) or REGISTRY.get(protocol, ("", ""))[1]
    if not path:
        raise ConfigurationError(f"There is no protocol named {protocol!r}.")
    module, _, name = path.rpartition(".")
    found: type[Transport] = getattr(import_module(module), name)
    return found


def open_transport(target: Target, further: Mapping[str, str] | None = None) -> Transport:
    """Return a transport for ``target``, not yet connected."""
    return transport_class(target.protocol, further)(target)
