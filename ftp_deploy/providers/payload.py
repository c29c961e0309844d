"""Reading webhook bodies: decoding, signatures, and fields of which nothing may be taken for granted.

What decides a deploy (ref, before, after) is read strictly. What people only look at (names, messages, links) is read
as far as it goes: a wrong type there reads as empty.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from ftp_deploy.exceptions import PayloadUnreadable, SignatureRefused
from ftp_deploy.providers.base import Commit, Delivery, PushEvent, WebhookRequest

COMMIT_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\Z")
BRANCH_PREFIX = "refs/heads/"
TAG_PREFIX = "refs/tags/"
MESSAGE_LIMIT = 10_000
"""Characters of a commit message that are kept."""

Fields = Mapping[str, Any]


def decode(request: WebhookRequest) -> dict[str, Any]:
    """Return the JSON object of a body, sent as JSON or as the form field ``payload``."""
    if request.content_type == "application/x-www-form-urlencoded":
        return load_object(form_payload(request.body))
    return load_object(request.body)


def form_payload(body: bytes) -> bytes:
    """Return the one ``payload`` field of a form-encoded body."""
    try:
        form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=20, errors="strict")
    except ValueError as error:
        raise PayloadUnreadable("The body is not a form.") from error
    values = form.get("payload", [])
    if len(values) != 1:
        raise PayloadUnreadable("The form has no field named payload, or several.")
    return values[0].encode()


def load_object(text: bytes) -> dict[str, Any]:
    """Return the JSON object that ``text`` holds in UTF-8."""
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise PayloadUnreadable("The body is not JSON.") from error
    if not isinstance(value, dict):
        raise PayloadUnreadable("The body is not a JSON object.")
    return value


def verify_digest(secret: str, body: bytes, given: str) -> None:
    """Compare the HMAC-SHA256 of ``body`` with a digest in hex, in constant time.

    Raises ``SignatureRefused`` for an empty secret, an empty digest and a wrong one alike.
    """
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not same(expected, given) or not secret:
        raise SignatureRefused("The signature is missing or was not made with this service's hook secret.")


def same(expected: str, given: str) -> bool:
    """Compare two texts in constant time; an empty one is never the same."""
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace")) and bool(expected)


def prefixed_digest(header: str) -> str:
    """Return the hex part of ``sha256=<hex>``, empty for any other form."""
    method, _, digest = header.partition("=")
    return digest if method == "sha256" else ""


def decode_key(text: str) -> bytes:
    """Decode a base64 key; raises ``SignatureRefused`` where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureRefused("The hook secret is not a signing token.") from error


def clean(value: Any, limit: int = 255) -> str:
    """Return ``value`` as text that every database stores: no NUL, no lone surrogate, at most ``limit`` long."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode(errors="replace").decode()[:limit]


def link(value: Any) -> str:
    """Return a web address from a payload, empty where it is anything else."""
    address = clean(value, 1000)
    return address if address.startswith(("https://", "http://")) else ""


def email(value: Any) -> str:
    """Return an e-mail address from a payload, empty where it is anything else (``[REDACTED]``, for one)."""
    address = clean(value, 254)
    return address if EMAIL.match(address) else ""


def section(fields: Any, name: str) -> Fields:
    """Return an object inside an object, empty where it is anything else."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, dict) else {}


def sections(fields: Any, name: str) -> Sequence[Fields]:
    """Return the objects of a list inside an object; whatever else the list holds is left out."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: Any) -> int:
    """Return a count from a payload, 0 where it is anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def commit_id(fields: Fields, name: str, *, required: bool = False) -> str:
    """Return a commit id; empty for zeros, null and, unless ``required``, a missing one.

    Raises ``PayloadUnreadable`` for anything else that is not a full id in lower-case hex.
    """
    value = fields.get(name)
    if value is None and not (required and name not in fields):
        return ""
    if not isinstance(value, str) or not COMMIT_ID.match(value):
        raise PayloadUnreadable(f"The field {name} is not a commit id.")
    return value if value.strip("0") else ""


def full_ref(fields: Fields, name: str = "ref") -> str:
    """Return a ref, such as ``refs/heads/main``. Raises ``PayloadUnreadable`` where there is none."""
    value = fields.get(name)
    if not isinstance(value, str) or not value or clean(value, len(value)) != value:
        raise PayloadUnreadable(f"The field {name} is not the name of a branch or tag.")
    return value


def commit(fields: Fields) -> Commit:
    """Read one commit in the form that GitHub, GitLab and Gitea share."""
    author = section(fields, "author")
    return Commit(
        id=clean(fields.get("id"), 64),
        message=clean(fields.get("message"), MESSAGE_LIMIT),
        author_name=clean(author.get("name")) or clean(author.get("username")),
        author_email=email(author.get("email")),
        timestamp=clean(fields.get("timestamp"), 40),
        url=link(fields.get("url")),
    )


def delivery_of_push(fields: Fields, delivery_id: str, repository: str, push: PushEvent) -> Delivery:
    """Turn a push body with ``ref``, ``before`` and ``after`` into a delivery.

    ``push`` holds what the forge tells beside those three fields.
    """
    ref = full_ref(fields)
    after = commit_id(fields, "after", required=True)
    before = commit_id(fields, "before")
    if not ref.startswith(BRANCH_PREFIX):
        kind = "tag" if ref.startswith(TAG_PREFIX) else "ref"
        return Delivery(delivery_id, reason=f"A {kind} was pushed; only branches are deployed.", repository=repository)
    branch = ref.removeprefix(BRANCH_PREFIX)
    if not branch:
        raise PayloadUnreadable("The field ref names no branch.")
    if not after or fields.get("deleted") is True:
        return Delivery(delivery_id, reason=f"The branch {branch} was deleted.", repository=repository)
    event = replace(push, branch=branch, before=before, after=after)
    return Delivery(delivery_id, pushes=(event,), repository=repository)


def not_a_push(delivery_id: str, event: str, repository: str = "") -> Delivery:
    """Return the delivery for an event that deploys nothing."""
    if event == "ping":
        return Delivery(delivery_id, reason="The hook works.", repository=repository)
    return Delivery(delivery_id, reason=f"The event {event} deploys nothing.", repository=repository)
