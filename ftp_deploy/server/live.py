"""Answers for the pages' pollers: small, with an ETag, so that nothing is sent where nothing changed."""

import hashlib
import json
from typing import Any

from django.http import HttpRequest, HttpResponse

BUSY = 2
"""Seconds between two questions while something runs."""
IDLE = 15
"""Seconds between two questions while nothing does."""


def version(*values: object) -> str:
    """Return a short fingerprint of what a page shows: a page is loaded anew when it changes."""
    return hashlib.blake2s(json.dumps(values, default=str).encode(), digest_size=8).hexdigest()


def answer(request: HttpRequest, content: dict[str, Any], *, busy: bool) -> HttpResponse:
    """Return ``content`` as JSON, or 304 where the asker has it already. ``busy`` says how soon to ask again."""
    body = json.dumps({**content, "again": BUSY if busy else IDLE}, separators=(",", ":"), default=str)
    tag = f'"{hashlib.blake2s(body.encode(), digest_size=8).hexdigest()}"'
    if request.headers.get("If-None-Match") == tag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="application/json")
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    return response
