"""Every SFTP status and every SSH disconnect has a meaning."""

import inspect

import asyncssh
import asyncssh.constants
import pytest

from ftp_deploy import exceptions
from ftp_deploy.transports.sftp_errors import DISCONNECTS, STATUSES, TOO_MANY_CONNECTIONS, meaning_of, translate
from ftp_deploy.transports.sftp_protocol import ProtocolBroken, StatusError

NOT_OURS = {
    "Error",  # the base of all
    "DisconnectError",  # asked by its code
    "SFTPError",  # the client library's own SFTP, which is not used
    "ProcessError",  # running commands
    "TimeoutError",
    "ChannelListenError",  # port forwarding
}


def status_codes() -> dict[str, int]:
    names = {name: value for name, value in vars(asyncssh.constants).items() if name.startswith("FX_")}
    return {name: code for name, code in names.items() if code != 0 and not name.endswith("_END")}


@pytest.mark.parametrize(("name", "code"), status_codes().items())
def test_every_status_is_mapped(name: str, code: int) -> None:
    kind, words = STATUSES[code]
    assert issubclass(kind, exceptions.TransportError)
    assert words


def test_every_error_of_the_library_is_mapped() -> None:
    found = {
        name
        for name, value in vars(asyncssh).items()
        if inspect.isclass(value)
        and issubclass(value, asyncssh.Error)
        and not issubclass(value, asyncssh.SFTPError)
        and name not in NOT_OURS
    }
    assert found - {kind.__name__ for kind in DISCONNECTS} == set()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StatusError(14, "no space"), exceptions.StorageFull),
        (StatusError(3, "denied"), exceptions.PermissionRefused),
        (StatusError(4, "Failure"), exceptions.TransferFailed),
        (StatusError(999, "a private status"), exceptions.TransferFailed),
        (asyncssh.PermissionDenied("no"), exceptions.LoginRefused),
        (asyncssh.DisconnectError(TOO_MANY_CONNECTIONS, "full"), exceptions.TooManyConnections),
        (asyncssh.DisconnectError(11, "bye"), exceptions.ConnectionFailed),
        (ProtocolBroken("nonsense"), exceptions.ConnectionFailed),
        (TimeoutError(), exceptions.ConnectionFailed),
        (ConnectionResetError(104, "reset"), exceptions.ConnectionFailed),
        (EOFError(), exceptions.ConnectionFailed),
    ],
    ids=repr,
)
def test_what_errors_mean(error: Exception, kind: type[exceptions.TransportError]) -> None:
    assert meaning_of(error)[0] is kind


def test_a_message_names_the_file_the_reply_and_the_code() -> None:
    error = translate(StatusError(3, "Permission\r\ndenied\x07"), "Uploading index.html", "index.html")
    assert error.message == ("Uploading index.html: the server does not allow it (SFTP status 3: Permission denied).")
    assert (error.path, error.code) == ("index.html", 3)


def test_a_long_reply_is_cut() -> None:
    assert len(translate(StatusError(4, "x" * 10_000_000), "Uploading a").message) < 500


def test_our_own_errors_stay() -> None:
    error = exceptions.StorageFull("full")
    assert translate(error, "Uploading a") is error
