"""Answers for the pages' pollers: small, with an ETag, so that nothing is sent where nothing changed."""

import hashlib
import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

BUSY = 2
"""Seconds between two questions while something runs."""
PREFIX = "ftpdeploy:live:"
TRUSTED = 60
"""Seconds for which a person who was let in is not looked up again."""
KEPT = 1
"""Seconds for which one answer serves everybody who watches the same thing."""
IDLE = 5
"""Seconds between two questions while nothing does."""


def version(*values: object) -> str:
    """Return a short fingerprint of what a page shows: a page is loaded anew when it changes."""
    return hashlib.blake2s(json.dumps(values, default=str).encode(), digest_size=8).hexdigest()


def key_of(*values: object) -> str:
    """Return a name for the cache, longer than a version: people choose parts of it, and no two may be the same."""
    return PREFIX + hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()


def ticket_of(request: HttpRequest) -> str:
    """Return the name under which a person's right to an address is remembered; empty without a session."""
    session = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    return key_of(session, request.path, request.GET.get("ids", "")) if session else ""


def encoded(content: dict[str, Any], *, busy: bool) -> tuple[str, str]:
    """Return the body and the tag of an answer. ``busy`` says how soon to ask again."""
    body = json.dumps({**content, "again": BUSY if busy else IDLE}, separators=(",", ":"), default=str)
    return body, f'"{hashlib.blake2s(body.encode(), digest_size=8).hexdigest()}"'


def answer(request: HttpRequest, body: str, tag: str) -> HttpResponse:
    """Return the body, or 304 where the asker has it already."""
    if request.headers.get("If-None-Match", "").removeprefix("W/") == tag:  # weak where it went out compressed
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="application/json")
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    return response
