"""Answers to remember for conditional requests: a forge that says "not modified" counts it for little or nothing."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

LARGEST_BODY = 512 * 1024
MOST_ANSWERS = 200


class Request(Protocol):
    """What is needed of a request to know it again."""

    @property
    def url(self) -> str | None:
        """The address with its query."""

    @property
    def headers(self) -> Mapping[str, str]:
        """All header fields, the credentials among them."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer with the tag that its server gave it."""

    etag: str
    text: bytes = field(repr=False)
    next_link: str = field(repr=False, default="")


class ConditionalAnswers:
    """A bounded memory of answers, per address and login; safe to use from several threads."""

    def __init__(self, limit: int = MOST_ANSWERS) -> None:
        self._limit = limit
        self._answers: OrderedDict[str, Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def look_up(self, request: Request) -> Remembered | None:
        """Return the last answer to such a request."""
        with self._lock:
            return self._answers.get(self._key(request))

    def remember(self, request: Request, answer: Remembered) -> None:
        """Keep an answer; a large one is not kept, and the oldest makes room."""
        if len(answer.text) > LARGEST_BODY:
            return
        with self._lock:
            self._answers[self._key(request)] = answer
            self._answers.move_to_end(self._key(request))
            while len(self._answers) > self._limit:
                self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._answers.clear()

    @staticmethod
    def _key(request: Request) -> str:
        """Name a request by address and login, without holding the login itself."""
        login = [request.headers.get(name, "") for name in ("Authorization", "PRIVATE-TOKEN")]
        return hashlib.sha256("\0".join([request.url or "", *login]).encode()).hexdigest()


conditional_answers = ConditionalAnswers()
