"""Choices that come from registries: fields name these functions, so a new forge or protocol needs no migration."""

from collections.abc import Iterable

from ftp_deploy.conf import conf
from ftp_deploy.providers import REGISTRY as PROVIDERS
from ftp_deploy.transports import REGISTRY as TRANSPORTS


def provider_choices() -> Iterable[tuple[str, str]]:
    """Return ``(name, label)`` of each forge; one from the settings is labelled by its name."""
    return {
        **{name: label for name, (label, _path) in PROVIDERS.items()},
        **{name: name for name in conf.PROVIDERS},
    }.items()


def protocol_choices() -> Iterable[tuple[str, str]]:
    """Return ``(name, label)`` of each protocol; one from the settings is labelled by its name."""
    return {
        **{name: label for name, (label, _path) in TRANSPORTS.items()},
        **{name: name for name in conf.TRANSPORTS},
    }.items()
