"""Trying a server before a service is saved: connect, log in, look at the path."""

import time
from dataclasses import dataclass, field
from typing import Any

from ftp_deploy.conf import conf
from ftp_deploy.exceptions import FTPDeployError, IdentityRefused
from ftp_deploy.models import Service
from ftp_deploy.transports import open_transport
from ftp_deploy.transports.base import Target

FOLDER_SECONDS = 5.0
FOLDER_ENTRIES = 20_000
FORM_FIELDS = ("protocol", "host", "username", "path", "certificate_authority", "fingerprint")


@dataclass(slots=True)
class Trial:
    """What trying a server found. ``fingerprint`` is one that a person may accept."""

    ok: bool = False
    error: FTPDeployError | None = None
    fingerprint: str = ""
    traits: dict[str, Any] = field(default_factory=dict)


def target_of(values: dict[str, str], stored: Service | None) -> Target:
    """Return the target that a form describes. The stored secrets go only to the server they were stored for."""
    port = values.get("port", "")
    same = stored is not None and all(
        str(getattr(stored, name) or "") == values.get(name, "").strip() for name in Service.sent_secrets[1]
    )
    secrets: dict[str, Any] = {name: values.get(name, "") for name in ("password", "private_key", "passphrase")}
    if same and stored and not any(secrets.values()):
        secrets = {name: getattr(stored, name) for name in secrets}
    plain: dict[str, Any] = {name: values.get(name, "").strip() for name in FORM_FIELDS}
    return Target(
        **plain,
        port=int(port) if port.isascii() and port.isdigit() and 0 < int(port) < 65536 else None,
        **secrets,
        verify_certificate=bool(values.get("verify_certificate")),
        max_connections=2,
        connect_timeout=min(conf.CONNECT_TIMEOUT, 10.0),
        reply_timeout=min(conf.REPLY_TIMEOUT, 10.0),
        allow_private_addresses=conf.ALLOW_PRIVATE_ADDRESSES,
    )


def try_server(target: Target) -> Trial:
    """Connect, log in, and put, rename and remove a probe file."""
    trial = Trial()
    try:
        with open_transport(target, conf.TRANSPORTS) as transport:
            trial.fingerprint = str(getattr(transport, "fingerprint", "") or "")
            trial.traits = transport.probe().as_json()
            trial.ok = True
    except FTPDeployError as error:
        trial.error = error
        if isinstance(error, IdentityRefused):
            trial.fingerprint = error.reply
    return trial


def folders_in(target: Target) -> list[str]:
    """Return the names of the directories directly below the target's path, sorted.

    The server is listed for a few seconds at most; a large tree may show only its first folders.
    """
    names: set[str] = set()
    deadline = time.monotonic() + FOLDER_SECONDS
    with open_transport(target, conf.TRANSPORTS) as transport:
        for number, file in enumerate(transport.walk()):
            name, separator, _rest = file.path.partition("/")
            if separator or file.is_directory:
                names.add(name)
            if number >= FOLDER_ENTRIES or time.monotonic() > deadline:
                break
    return sorted(names)
