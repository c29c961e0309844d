"""Comparing contents with an SFTP server that can hash files: ``check-file-name``.

The extension is that of draft-ietf-secsh-filexfer-extensions-00 section 3. ProFTPD's mod_sftp, Bitvise and others have
it, and not all of them say so when the session begins. OpenSSH has nothing of the kind: there the size is all there is.
"""

from ftp_deploy.transports import sftp_protocol as protocol
from ftp_deploy.transports.sftp_channel import SFTPChannel
from ftp_deploy.transports.sftp_protocol import Kind, Reader, Status, StatusError

KIND = "sha256"
NAME = "check-file-name"
TRAIT = f"{NAME} {KIND}"
"""How a server that has the extension is remembered."""
_LENGTHS = {32: "sha256", 20: "sha1", 16: "md5"}


async def offers_hashes(channel: SFTPChannel, banner: str, path: bytes) -> bool:
    """Find out whether the server has the extension; a directory serves as well as a file to ask about.

    OpenSSH is not asked. A server that lists the extension is believed, all others answer "unsupported" or anything
    else.
    """
    if "openssh" in banner.lower():
        return False
    if any(name.startswith("check-file") for name in channel.extensions):
        return True
    try:
        await digest_on_server(channel, path)
    except StatusError as error:
        return error.code not in (Status.UNSUPPORTED, Status.BAD_MESSAGE)
    except protocol.ProtocolBroken:
        return False
    return True


async def digest_on_server(channel: SFTPChannel, path: bytes) -> str:
    """Return the server's hash of a whole file, in hexadecimal. Raises ``StatusError``."""
    fields = (protocol.string(NAME.encode()), protocol.string(path), protocol.string(KIND.encode()))
    answer = channel.ask(Kind.EXTENDED, *fields, protocol.check_range(), reply=Kind.EXTENDED_REPLY, parse=read_digest)
    return str(await answer)


def read_digest(reader: Reader) -> str:
    """Read the reply: the algorithm, then the bare hash. Some servers put the extension's name in front."""
    algorithm = reader.string()
    if algorithm == b"check-file":
        algorithm = reader.string()
    digest = reader.rest()
    if _LENGTHS.get(len(digest)) != KIND or not algorithm.lower().startswith(KIND.encode()):
        raise protocol.ProtocolBroken("The server gave another hash than it was asked for.")
    return digest.hex()
