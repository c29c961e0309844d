import json
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.exceptions import SignatureRefused
from ftp_deploy.providers.base import Account, WebhookRequest
from ftp_deploy.providers.gitea import Gitea
from ftp_deploy.providers.payload import form_payload
from tests.providers.samples import captured, event_of, expected_pushes
from tests.providers.webhook_contract import NEW, OLD, SECRET, WebhookContract, check_clean, digest


class GiteaWebhook(WebhookContract):
    provider_class = Gitea
    prefix = "x-gitea"

    @property
    def push_headers(self) -> dict[str, str]:  # type: ignore[override]
        # Gitea sends GitHub's headers as well.
        return {f"{self.prefix}-event": "push", f"{self.prefix}-delivery": "id-7", "x-github-event": "push"}

    def push_body(self, ref: str = "refs/heads/main", before: str = OLD, after: str = NEW) -> dict[str, Any]:
        return {
            "ref": ref,
            "before": before,
            "after": after,
            "compare_url": "https://forge.example.com/o/r/compare/a...b",
            "commits": [
                {
                    "id": after,
                    "message": "Say hello",
                    "url": "https://forge.example.com/o/r/commit/b",
                    "author": {"name": "Builder", "email": "builder@example.com", "username": "builder"},
                    "timestamp": "2026-11-01T10:00:00Z",
                }
            ],
            "total_commits": 6,
            "repository": {"full_name": "o/r"},
            "pusher": {"login": "builder", "full_name": "", "email": "builder@example.com"},
        }

    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        is_form = content_type == "application/x-www-form-urlencoded"
        text = form_payload(body) if is_form else body
        return {f"{self.prefix}-signature": digest(secret, text)}

    def test_what_people_look_at_is_kept(self) -> None:
        delivery = self.parse(self.push_body())
        (push,) = delivery.pushes
        assert delivery.delivery_id == "id-7"
        assert delivery.repository == "o/r"
        assert (push.user_name, push.user_email) == ("builder", "builder@example.com")
        assert not push.complete


class TestGitea(GiteaWebhook):
    def test_a_hook_without_a_secret_sends_empty_digests_that_never_pass(self) -> None:
        headers = {"x-gitea-signature": "", "x-hub-signature-256": "sha256="}
        for secret in ("", SECRET):
            with pytest.raises(SignatureRefused):
                Gitea(Account()).verify(WebhookRequest(headers, b"{}"), secret)

    @pytest.mark.parametrize("file", captured("gitea"))
    def test_captured_bodies(self, file: Path) -> None:
        request = WebhookRequest({"x-gitea-event": event_of(file)}, file.read_bytes())
        delivery = Gitea(Account()).parse(request)
        assert len(delivery.pushes) == expected_pushes(file)
        assert delivery.repository == json.loads(file.read_bytes())["repository"]["full_name"]
        check_clean(delivery)


class TestForgejo(GiteaWebhook):
    prefix = "x-forgejo"


class TestGitHubStyleSignature(GiteaWebhook):
    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        (value,) = super().sign(body, secret, content_type).values()
        return {"x-hub-signature-256": f"sha256={value}"}
