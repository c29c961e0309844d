"""Webhook deliveries: signed as GitHub signs them, sent one after the other in the background, kept for a look."""

import hashlib
import hmac
import http.client
import json
import queue
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from ftp_deploy.standalone.forge.storage import Hook

TIMEOUT = 10.0
USER_AGENT = "GitHub-Hookshot/0000000"


@dataclass
class Delivery:
    """One request to a hook's URL, and what came back. ``status`` is 0 where nothing came back."""

    id: int
    guid: str
    event: str
    hook: Hook
    headers: dict[str, str]
    body: bytes = field(repr=False)
    redelivery: bool = False
    status: int = 0
    response: bytes = b""
    error: str = ""
    seconds: float = 0.0
    delivered: datetime | None = None

    @property
    def payload(self) -> Any:
        """The JSON document that was sent."""
        return json.loads(self.body)


class Postman:
    """Sends deliveries in order from a thread of its own."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self.deliveries: list[Delivery] = []
        self._waiting: queue.Queue[Delivery | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start sending."""
        self._thread = threading.Thread(target=self._run, name="forge-hooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after what is being sent now."""
        if self._thread:
            self._waiting.put(None)
            self._thread.join(self.timeout + 5)
            self._thread = None

    def post(self, hook: Hook, event: str, payload: dict[str, Any]) -> Delivery:
        """Put a payload on its way to a hook."""
        return self._send(hook, event, json.dumps(payload).encode(), str(uuid.uuid4()))

    def repeat(self, delivery: Delivery) -> Delivery:
        """Send a delivery again: the same body and the same GUID."""
        return self._send(delivery.hook, delivery.event, delivery.body, delivery.guid, redelivery=True)

    def _send(self, hook: Hook, event: str, body: bytes, guid: str, *, redelivery: bool = False) -> Delivery:
        headers = {
            "Accept": "*/*",
            "User-Agent": USER_AGENT,
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(hook.id),
            "X-GitHub-Hook-Installation-Target-Type": "repository",
        }
        delivery = Delivery(len(self.deliveries) + 1, guid, event, hook, headers, body, redelivery)
        self.deliveries.append(delivery)
        self._waiting.put(delivery)
        return delivery

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until everything was sent. Raises ``TimeoutError``."""
        deadline = time.monotonic() + seconds
        while any(delivery.delivered is None for delivery in self.deliveries):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Some hooks were not delivered within {seconds:.0f} s.")
            time.sleep(0.01)

    def _run(self) -> None:
        while (delivery := self._waiting.get()) is not None:
            started = time.monotonic()
            try:
                self._deliver(delivery)
            except (OSError, http.client.HTTPException, ValueError) as error:
                delivery.error = str(error) or type(error).__name__
            delivery.seconds = time.monotonic() - started
            delivery.hook.last_response = {
                "code": delivery.status or None,
                "status": "active" if 200 <= delivery.status < 300 else "misconfigured",
                "message": delivery.error or http.client.responses.get(delivery.status, ""),
            }
            delivery.delivered = datetime.now(UTC)

    def _deliver(self, delivery: Delivery) -> None:
        form = delivery.hook.config.get("content_type") == "form"
        body = urlencode({"payload": delivery.body.decode()}).encode() if form else delivery.body
        delivery.headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        if delivery.hook.secret:
            delivery.headers.update(signatures(delivery.hook.secret, body))
        url = urlsplit(delivery.hook.url)
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            verify = delivery.hook.config.get("insecure_ssl") != "1"
            context = ssl.create_default_context() if verify else ssl._create_unverified_context()  # noqa: S323
            connection = http.client.HTTPSConnection(url.netloc, timeout=self.timeout, context=context)
        else:
            connection = http.client.HTTPConnection(url.netloc, timeout=self.timeout)
        try:
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", target, body, delivery.headers)
            answer = connection.getresponse()
            delivery.status = answer.status
            delivery.response = answer.read(65_536)
        finally:
            connection.close()


def signatures(secret: str, body: bytes) -> dict[str, str]:
    """Return the two signature headers over the body as it is sent."""
    key = secret.encode()
    return {
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }
