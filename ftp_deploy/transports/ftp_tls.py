"""TLS for FTP (RFC 4217): who the server is, and the same TLS session on control and data connections.

Certificates are checked against certifi's authorities, against a private authority, or against one pinned SHA-256
fingerprint. There is no way from here to clear text.
"""

import hashlib
import hmac
import re
import socket
import ssl

import certifi

from ftp_deploy.exceptions import ConfigurationError, IdentityRefused
from ftp_deploy.transports.base import Target

_PINNED = re.compile(r"^(sha-?256[:=]?)?(?P<digits>[0-9a-f]{64})$")


def make_context(target: Target, newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
    """Return the context for the connections of one transport: TLS 1.2 and later, up to ``newest``.

    A pinned fingerprint takes the place of the authorities. Raises ``ConfigurationError`` for an unreadable authority.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = newest
    if target.fingerprint or not target.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if target.certificate_authority:
            context.load_verify_locations(cadata=target.certificate_authority)
        else:
            context.load_verify_locations(cafile=certifi.where())
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError("The certificate authority of the service is not readable PEM text.") from error
    return context


def guess_p256(context: ssl.SSLContext) -> None:
    """Let the first message of a handshake carry a key for the curve P-256, and for no other.

    vsftpd knows no other curve. OpenSSL's own guess is X25519, which such a server turns down: a round trip more for
    each connection. Every TLS 1.3 server has to know P-256 (RFC 8446 section 9.1).
    """
    context.set_ecdh_curve("prime256v1")


def normal_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint as 64 hexadecimal digits, from the usual ways to write one.

    Raises ``ConfigurationError`` for anything else.
    """
    match = _PINNED.match(re.sub(r"[\s:]", "", text.strip().lower()))
    if not match:
        raise ConfigurationError(
            f"{text!r} is not the SHA-256 fingerprint of a certificate.",
            advice="It has 64 hexadecimal digits; run the server check and accept the fingerprint it shows.",
        )
    return match["digits"]


def show_fingerprint(certificate: bytes) -> str:
    """Return the fingerprint of a DER certificate as people see it: ``SHA256:AB:CD:...``."""
    digits = hashlib.sha256(certificate).hexdigest().upper()
    return "SHA256:" + ":".join(digits[start : start + 2] for start in range(0, 64, 2))


def certificate_of(connection: socket.socket) -> bytes:
    """Return the other side's certificate as DER, or nothing."""
    return connection.getpeercert(binary_form=True) or b"" if isinstance(connection, ssl.SSLSocket) else b""


def check_pin(connection: ssl.SSLSocket, target: Target) -> None:
    """Compare the server's certificate with the pinned one, if any. Raises ``IdentityRefused``."""
    if not target.fingerprint:
        return
    certificate = certificate_of(connection)
    seen = hashlib.sha256(certificate).hexdigest()
    if not hmac.compare_digest(seen, normal_fingerprint(target.fingerprint)):
        raise IdentityRefused(
            f"The certificate of {target.host} is not the accepted one: its fingerprint is "
            f"{show_fingerprint(certificate)}. Nothing was sent.",
            reply=show_fingerprint(certificate),
        )


def wrap_control(raw: socket.socket, context: ssl.SSLContext, target: Target) -> ssl.SSLSocket:
    """Start TLS on a control connection and check who answers.

    Raises ``IdentityRefused`` and ``OSError``; ``raw`` is closed then.
    """
    try:
        connection = context.wrap_socket(raw, server_hostname=target.host)
    except ssl.SSLCertVerificationError as error:
        raw.close()
        raise IdentityRefused(
            f"The certificate of {target.host} cannot be trusted: {error.verify_message}.",
            advice="Give the service the certificate authority of the server, or accept the fingerprint that the "
            "server check shows.",
        ) from error
    except BaseException:
        raw.close()
        raise
    try:
        check_pin(connection, target)
    except BaseException:
        connection.close()
        raise
    return connection
