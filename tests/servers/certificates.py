"""A certificate authority for the tests, and server certificates signed by it."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """``certificate`` and ``key`` are the server's, ``both`` holds the two in one file."""

    authority_pem: str
    certificate: Path
    key: Path
    both: Path
    fingerprint: str
    """SHA-256 of the server's certificate: 64 hexadecimal digits."""


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def make_certificates(folder: Path, *, names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")) -> Certificates:
    """Write an authority and a server certificate for ``names`` into ``folder``."""
    now = datetime.datetime.now(datetime.UTC)
    authority_key = rsa.generate_private_key(65537, 2048)
    key = rsa.generate_private_key(65537, 2048)
    authority = _builder("Test authority", "Test authority", now).public_key(authority_key.public_key())
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    authority = authority.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
    )
    signed_authority = authority.sign(authority_key, hashes.SHA256())
    server = _builder(names[0], "Test authority", now).public_key(key.public_key())
    server = server.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    server = server.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
    )
    signed = server.sign(authority_key, hashes.SHA256())
    pem = signed.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for name, content in (("server.pem", pem), ("server.key", secret), ("both.pem", secret + pem)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return Certificates(
        authority_pem=signed_authority.public_bytes(serialization.Encoding.PEM).decode(),
        certificate=folder / "server.pem",
        key=folder / "server.key",
        both=folder / "both.pem",
        fingerprint=signed.fingerprint(hashes.SHA256()).hex(),
    )


def _builder(subject: str, issuer: str, now: datetime.datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=_name(subject), issuer_name=_name(issuer))
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
