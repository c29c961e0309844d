"""What a failed call to a forge's API means, in plain words and with what to do about it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ftp_deploy.exceptions import ApiError

LONGEST_REPLY = 300
"""Characters of a forge's own words that are shown."""
RESET_HEADERS = ("X-RateLimit-Reset", "RateLimit-Reset")
REMAINING_HEADERS = ("X-RateLimit-Remaining", "RateLimit-Remaining")


@dataclass(eq=False)
class Refusal(Exception):
    """An answer other than 2xx, or none at all (``status`` is None, ``reason`` says why)."""

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)
    reason: str = ""


def wait_of(refusal: Refusal, pause: float) -> float:
    """Return the seconds to wait before another try; infinite where another try cannot help."""
    if refusal.status is None:
        return pause
    if is_rate_limit(refusal):
        until = retry_at(refusal)
        return max((until - datetime.now(UTC)).total_seconds(), pause) if until else 60.0
    if refusal.status in {500, 502, 503, 504, 555}:
        until = retry_at(refusal)
        return max((until - datetime.now(UTC)).total_seconds(), pause) if until else pause
    return float("inf")


def is_rate_limit(refusal: Refusal) -> bool:
    """Whether a forge refused because of too many calls; GitHub says so with 403 as well as 429."""
    if refusal.status == 429:
        return True
    spent = any(refusal.headers.get(name) == "0" for name in REMAINING_HEADERS)
    return refusal.status == 403 and (spent or "Retry-After" in refusal.headers)


def retry_at(refusal: Refusal) -> datetime | None:
    """Return when the forge wants to be asked again: ``Retry-After`` (seconds or a date), else the limit's reset."""
    after = refusal.headers.get("Retry-After", "")
    try:
        if after:
            return moment(float(after), relative=True) if after.isdigit() else http_date(after)
        reset = next((refusal.headers[name] for name in RESET_HEADERS if name in refusal.headers), "")
        return moment(float(reset), relative=float(reset) < 1_000_000_000) if reset else None
    except (ValueError, OverflowError, OSError):
        return None


def http_date(text: str) -> datetime:
    """Read an HTTP date. Raises ``ValueError`` for anything else."""
    date = parsedate_to_datetime(text)
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def moment(seconds: float, *, relative: bool) -> datetime:
    """Return a point in time from seconds: since 1970, or from now."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + seconds if relative else seconds, UTC)


def error_of(refusal: Refusal, label: str) -> ApiError:
    """Return the error for a person."""
    status = refusal.status
    if status is None:
        return ApiError(f"{label} could not be reached: {refusal.reason}.", transient=True)
    if is_rate_limit(refusal):
        return rate_limit_error(refusal, label)
    said = words_of(refusal)
    if status >= 500:
        return ApiError(f"{label} has a problem of its own (HTTP {status}).{said}", status=status, transient=True)
    message, advice = meaning(refusal, label)
    return ApiError(f"{message} (HTTP {status}).{said}", status=status, advice=advice)


def rate_limit_error(refusal: Refusal, label: str) -> ApiError:
    """Say until when a forge takes no more calls."""
    until = retry_at(refusal)
    end = f" It ends at {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC." if until else ""
    return ApiError(
        f"{label}'s rate limit is reached (HTTP {refusal.status}).{end}", status=refusal.status, transient=True
    )


def meaning(refusal: Refusal, label: str) -> tuple[str, str]:
    """Return sentence (without its end) and advice for a 4xx answer."""
    status = refusal.status
    if status == 401:
        return (
            f"{label} refused the login",
            "The token is wrong, has expired or was revoked: make a new one and enter it in the account.",
        )
    if status == 403:
        return f"{label} does not allow this with the account's token", scope_advice(refusal)
    if status == 404:
        return (
            f"{label} knows no such thing, or the token may not see it",
            "Check the repository's name, and that the token may read and administer it.",
        )
    if status == 410:
        return f"{label} no longer offers this", "Look for a newer version of this app."
    if status in {400, 409, 422}:
        return f"{label} did not accept the request", ""
    return f"{label} refused the request", ""


def scope_advice(refusal: Refusal) -> str:
    """Say which scope is missing, where the forge tells."""
    wanted = refusal.headers.get("X-Accepted-OAuth-Scopes", "")
    present = refusal.headers.get("X-OAuth-Scopes")
    if wanted and present is not None:
        return f"The token needs one of these scopes: {plain(wanted)}. It has: {plain(present) or 'none'}."
    return "Give the token the right to read this repository and to administer its webhooks."


def words_of(refusal: Refusal) -> str:
    """Return what the forge itself said, on one line and bounded."""
    try:
        body: Any = json.loads(refusal.text.decode())
    except (ValueError, RecursionError):
        return ""
    said = body.get("message") or body.get("error") if isinstance(body, dict) else None
    if isinstance(said, dict):
        said = said.get("message")
    if isinstance(said, list):
        said = "; ".join(str(part) for part in said)
    text = plain(str(said)) if said else ""
    return f" It said: {text}" if text else ""


def plain(text: str) -> str:
    """Return a forge's words on one line, bounded, without characters that would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_REPLY]
