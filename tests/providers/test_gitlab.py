import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.exceptions import SignatureRefused
from ftp_deploy.providers import gitlab
from ftp_deploy.providers.base import Account, WebhookRequest
from ftp_deploy.providers.gitlab import GitLab, signing_token
from tests.providers.samples import captured, event_of, expected_pushes
from tests.providers.webhook_contract import NEW, OLD, SECRET, WebhookContract, check_clean

PUBLISHED_TOKEN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
PUBLISHED_BODY = b'{"test": 2432232314}'


class GitLabWebhook(WebhookContract):
    provider_class = GitLab
    push_headers = {"x-gitlab-event": "Push Hook", "idempotency-key": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"}
    takes_forms = False

    def push_body(self, ref: str = "refs/heads/main", before: str = OLD, after: str = NEW) -> dict[str, Any]:
        return {
            "object_kind": "push",
            "event_name": "push",
            "ref": ref,
            "before": before,
            "after": after,
            "user_name": "Builder Other",
            "user_email": "builder@example.com",
            "project": {"path_with_namespace": "g/s/r", "web_url": "https://gitlab.com/g/s/r"},
            "commits": [
                {
                    "id": after,
                    "message": "Say hello",
                    "timestamp": "2026-11-01T10:00:00+00:00",
                    "url": "https://gitlab.com/g/s/r/-/commit/b",
                    "author": {"name": "Builder", "email": "[REDACTED]"},
                }
            ],
            "total_commits_count": 30,
        }


class TestSecretToken(GitLabWebhook):
    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        return {"x-gitlab-token": secret}


class TestSigningToken(GitLabWebhook):
    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        now = str(int(time.time()))
        key = base64.b64decode(signing_token(secret).removeprefix("whsec_"))
        mac = hmac.new(key, f"id.{now}.".encode() + body, hashlib.sha256).digest()
        return {
            "webhook-id": "id",
            "webhook-timestamp": now,
            "webhook-signature": "v1,AAAA v1," + base64.b64encode(mac).decode(),
        }

    def test_the_published_example(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gitlab.time, "time", lambda: 1614265330.0 + 200)
        GitLab(Account()).verify(WebhookRequest(PUBLISHED_HEADERS, PUBLISHED_BODY), PUBLISHED_TOKEN)

    @pytest.mark.parametrize("age", [301, -301, 10**9])
    def test_an_old_or_future_one_is_refused(self, age: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gitlab.time, "time", lambda: 1614265330.0 + age)
        with pytest.raises(SignatureRefused):
            GitLab(Account()).verify(WebhookRequest(PUBLISHED_HEADERS, PUBLISHED_BODY), PUBLISHED_TOKEN)

    @pytest.mark.parametrize("name", PUBLISHED_HEADERS)
    @pytest.mark.parametrize("value", ["", "x", "²", "9" * 400])
    def test_a_changed_header_is_refused(self, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gitlab.time, "time", lambda: 1614265330.0)
        with pytest.raises(SignatureRefused):
            GitLab(Account()).verify(
                WebhookRequest({**PUBLISHED_HEADERS, name: value}, PUBLISHED_BODY), PUBLISHED_TOKEN
            )

    def test_a_token_that_is_not_base64_is_refused(self) -> None:
        with pytest.raises(SignatureRefused):
            GitLab(Account()).verify(WebhookRequest(PUBLISHED_HEADERS, PUBLISHED_BODY), "whsec_é!")


class TestGitLabPayload:
    def test_what_people_look_at_is_kept(self) -> None:
        delivery = TestSecretToken().parse(TestSecretToken().push_body())
        (push,) = delivery.pushes
        assert delivery.delivery_id == GitLabWebhook.push_headers["idempotency-key"]
        assert delivery.repository == "g/s/r"
        assert (push.user_name, push.user_email) == ("Builder Other", "builder@example.com")
        assert push.commits[0].author_email == ""
        assert not push.complete
        assert push.compare_url == f"https://gitlab.com/g/s/r/-/compare/{OLD}...{NEW}"

    def test_other_events_give_a_reason(self) -> None:
        assert TestSecretToken().parse({"object_kind": "merge_request"}).reason

    @pytest.mark.parametrize("file", captured("gitlab"))
    def test_captured_bodies(self, file: Path) -> None:
        request = WebhookRequest({"x-gitlab-event": event_of(file)}, file.read_bytes())
        delivery = GitLab(Account()).parse(request)
        assert len(delivery.pushes) == expected_pushes(file)
        assert delivery.repository == json.loads(file.read_bytes())["project"]["path_with_namespace"]
        check_clean(delivery)

    def test_the_secret_token_passes_beside_a_signature_by_another_key(self) -> None:
        headers = {**PUBLISHED_HEADERS, "x-gitlab-token": SECRET}
        GitLab(Account()).verify(WebhookRequest(headers, PUBLISHED_BODY), SECRET)
