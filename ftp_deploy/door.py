"""The door for forges: how much is read of a stranger's request, who may knock, and how often."""

import functools
import hashlib
import ipaddress
import logging
import secrets
import time
from collections.abc import Sequence

from django.core.cache import cache
from django.db import connections, router
from django.http import HttpRequest, UnreadablePostError
from django.utils.crypto import constant_time_compare

from ftp_deploy.conf import conf
from ftp_deploy.fields import Sealed, encryption_keys
from ftp_deploy.models import Account, Service
from ftp_deploy.models.service import SECRET_KEY_LENGTH

logger = logging.getLogger(__name__)

BLOCK = 64 * 1024
WINDOW = 60
"""Seconds over which requests are counted."""
ASKED = (
    "id",
    "provider",
    "account_id",
    "branch",
    "queue",
    "enabled",
    "secret_key",
    "hook_secret",
    "signature_required",
)
"""What the door reads of a service, in the order of the model; the rest is read when it is asked for. With it comes the
address of the account's forge."""
KEY, TRUTHS = ASKED.index("secret_key"), ("enabled", "signature_required")
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


def headers_of(request: HttpRequest) -> dict[str, str]:
    """Return the headers of a request, names in lower case."""
    return {
        name[5:].replace("_", "-").lower(): value for name, value in request.META.items() if name.startswith("HTTP_")
    }


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


def find_service(secret_key: str) -> Service | None:
    """Return the service of a key; a database that compares without case does not decide.

    A statement of its own instead of the ORM's, whose making costs more than all else that a hook needs.
    """
    if not (secret_key.isascii() and secret_key.isalnum()):
        secret_key = "-" * SECRET_KEY_LENGTH  # looked up all the same: the answer takes the same time
    alias = router.db_for_read(Service)
    with connections[alias].cursor() as cursor:
        cursor.execute(_lookup(alias), [secret_key])
        row = cursor.fetchone()
    if row is None or not constant_time_compare(row[KEY], secret_key):
        return None
    return as_stored(alias, row)


@functools.cache
def _lookup(alias: str) -> str:
    quote = connections[alias].ops.quote_name
    table, accounts = (quote(model._meta.db_table) for model in (Service, Account))
    columns = ", ".join(f"{table}.{quote(name)}" for name in ASKED)
    return (
        f"SELECT {columns}, {accounts}.{quote('url')} FROM {table}"  # noqa: S608 - names of our own columns
        f" LEFT JOIN {accounts} ON {accounts}.{quote('id')} = {table}.{quote('account_id')}"
        f" WHERE {table}.{quote('secret_key')} = %s"
    )


def as_stored(alias: str, row: Sequence[object]) -> Service:
    """Return the service of a row of the look-up; the hook secret stays sealed until it is read."""
    values = dict(zip(ASKED, row, strict=False))
    values |= {name: bool(values[name]) for name in TRUTHS}  # SQLite and MySQL have numbers there
    if values["hook_secret"]:
        values["hook_secret"] = Sealed(str(values["hook_secret"]))
    service = Service.from_db(alias, ASKED, list(values.values()))
    if service.account_id:
        service.account = Account.from_db(alias, ("id", "url"), (service.account_id, row[-1]))
    return service


def decoy() -> Service:
    """Return a service that does not exist, built as one from the database is.

    A request with an unknown key is checked against it, so that it takes the time of one with a known key and a bad
    signature.
    """
    return as_stored(router.db_for_read(Service), _decoy_row(tuple(encryption_keys())))


@functools.lru_cache(maxsize=4)
def _decoy_row(_keys: tuple[str, ...]) -> tuple[object, ...]:
    row = {name: Service._meta.get_field(name).get_default() for name in ASKED if name != "id"}  # type: ignore[union-attr]
    row["hook_secret"] = Sealed.close("service.hook_secret", secrets.token_hex(15)).token
    return (0, *(row[name] for name in ASKED[1:]), None)
