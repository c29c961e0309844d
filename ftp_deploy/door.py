"""The door for forges: how much is read of a stranger's request, who may knock, and how often."""

import functools
import hashlib
import ipaddress
import logging
import secrets
import time
from collections.abc import Sequence

from django.core.cache import cache
from django.http import HttpRequest, UnreadablePostError

from ftp_deploy.conf import conf
from ftp_deploy.fields import Sealed, encryption_keys
from ftp_deploy.models import Service

logger = logging.getLogger(__name__)

BLOCK = 64 * 1024
WINDOW = 60
"""Seconds over which requests are counted."""
PUBLISHED = "published"
PUBLISHED_CACHE_SECONDS = 7 * 24 * 3600


class BodyTooLarge(Exception):
    """The body is larger than the setting allows."""


class BodyUnreadable(Exception):
    """The body ended early, or its length makes no sense."""


def read_body(request: HttpRequest) -> bytes:
    """Read a body up to ``FTP_DEPLOY_WEBHOOK_MAX_BYTES``.

    Django's own limit for ``request.body`` (2.5 MB) is meant for forms; a push may be larger. Raises ``BodyTooLarge``
    and ``BodyUnreadable``.
    """
    limit = conf.WEBHOOK_MAX_BYTES
    try:
        announced = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError as error:
        raise BodyUnreadable from error
    if announced > limit:
        raise BodyTooLarge
    blocks, size = [], 0
    try:
        while block := request.read(min(BLOCK, limit + 1 - size)):
            blocks.append(block)
            size += len(block)
            if size > limit:
                raise BodyTooLarge
    except (UnreadablePostError, OSError) as error:
        raise BodyUnreadable from error
    if size < announced:
        raise BodyUnreadable
    return b"".join(blocks)


def client_address(request: HttpRequest) -> str:
    """Return the address of the client, empty where it is unknown.

    Behind a proxy that sets a header, ``FTP_DEPLOY_CLIENT_ADDRESS_HEADER`` names it; its last entry is the one that
    the proxy itself has added, the others are whatever the client sent.
    """
    header = conf.CLIENT_ADDRESS_HEADER
    given = request.headers.get(header, "").rpartition(",")[2] if header else request.META.get("REMOTE_ADDR", "")
    try:
        return str(ipaddress.ip_address(given.strip()))
    except ValueError:
        return ""


def may_knock(request: HttpRequest, service: Service) -> bool:
    """Whether the allow-list of the service's forge lets this client in; without a list everybody may knock."""
    allowed = conf.WEBHOOK_ALLOWED_ADDRESSES.get(service.provider)
    if allowed is None:
        return True
    networks = published_networks(service) if allowed == PUBLISHED else allowed
    if networks is None:
        logger.warning("The published addresses of %s are not known yet; the request is let in.", service.provider)
        return True
    address = client_address(request)
    return bool(address) and any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False) for network in networks
    )


def published_networks(service: Service) -> Sequence[str] | None:
    """Return the networks last fetched from the service's forge, None where none were fetched yet."""
    networks: Sequence[str] | None = cache.get(_published_key(service))
    return networks


def store_published_networks(service: Service, networks: Sequence[str]) -> None:
    """Keep what the service's forge has published; what is no network is left out, and an empty list is not kept."""
    readable = [network for network in networks if is_network(network)]
    if readable:
        cache.set(_published_key(service), readable, PUBLISHED_CACHE_SECONDS)


def _published_key(service: Service) -> str:
    """Name the networks of one forge: what a server of one account publishes says nothing about other forges."""
    forge = service.forge_url.strip().rstrip("/").lower()
    return f"ftp_deploy.published.{service.provider}.{hashlib.sha256(forge.encode()).hexdigest()[:16]}"


def is_network(text: str) -> bool:
    """Whether a text is a network, such as ``192.0.2.0/24``, or a single address."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def over_limit(service_id: int, outcome: str) -> bool:
    """Count one request of this minute, and say whether there were too many.

    Authentic and refused requests (``outcome``) are counted apart, so that a stranger who knows the address cannot
    use up the limit of the forge. Where the cache does not work, nothing is limited: a push must not be lost to it.
    """
    limit = conf.WEBHOOK_RATE
    if not limit:
        return False
    key = f"ftp_deploy.rate.{service_id}.{outcome}.{int(time.time()) // WINDOW}"
    try:
        cache.add(key, 0, WINDOW * 2)
        return cache.incr(key) > limit
    except Exception:  # each cache has errors of its own, and none of them may refuse a push
        logger.warning("The cache does not work; requests to hooks are not limited.", exc_info=True)
        return False


def decoy() -> Service:
    """Return a service that does not exist, built as one from the database is.

    A request with an unknown key is checked against it, so that it takes the time of one with a known key and a bad
    signature.
    """
    names, values = _decoy_row(tuple(encryption_keys()))
    return Service.from_db("default", names, values)


@functools.lru_cache(maxsize=4)
def _decoy_row(keys: tuple[str, ...]) -> tuple[list[str], list[object]]:
    row = {field.attname: field.get_default() for field in Service._meta.concrete_fields}
    row |= {"id": 0, "hook_secret": Sealed.close("service.hook_secret", secrets.token_hex(15))}
    return list(row), list(row.values())
