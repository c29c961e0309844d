import json
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.exceptions import SignatureRefused
from ftp_deploy.providers.base import Account, WebhookRequest
from ftp_deploy.providers.github import GitHub
from tests.providers.samples import captured, event_of, expected_pushes
from tests.providers.webhook_contract import NEW, OLD, SECRET, WebhookContract, check_clean, digest


class TestGitHubWebhook(WebhookContract):
    provider_class = GitHub
    push_headers = {"x-github-event": "push", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}

    def push_body(self, ref: str = "refs/heads/main", before: str = OLD, after: str = NEW) -> dict[str, Any]:
        commit = {
            "id": after,
            "message": "Say hello",
            "timestamp": "2026-11-01T10:00:00Z",
            "url": f"https://github.com/o/r/commit/{after}",
            "author": {"name": "Builder", "email": "builder@example.com", "username": "builder"},
        }
        return {
            "ref": ref,
            "before": before,
            "after": after,
            "created": False,
            "deleted": False,
            "forced": True,
            "compare": "https://github.com/o/r/compare/a...b",
            "commits": [commit],
            "head_commit": commit,
            "repository": {"full_name": "o/r", "name": "r"},
            "pusher": {"name": "builder", "email": "builder@example.com"},
        }

    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        return {"x-hub-signature-256": f"sha256={digest(secret, body)}"}

    def test_the_published_signature_example(self) -> None:
        headers = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
        GitHub(Account()).verify(WebhookRequest(headers, b"Hello, World!"), SECRET)
        with pytest.raises(SignatureRefused):
            GitHub(Account()).verify(WebhookRequest(headers, b"Hello, World?"), SECRET)

    def test_the_old_sha1_signature_is_not_enough(self) -> None:
        headers = {"x-hub-signature": f"sha256={digest(SECRET, b'{}')}"}
        with pytest.raises(SignatureRefused):
            GitHub(Account()).verify(WebhookRequest(headers, b"{}"), SECRET)

    def test_what_people_look_at_is_kept(self) -> None:
        delivery = self.parse(self.push_body())
        (push,) = delivery.pushes
        assert delivery.delivery_id == self.push_headers["x-github-delivery"]
        assert delivery.repository == "o/r"
        assert (push.user_name, push.user_email) == ("builder", "builder@example.com")
        assert push.forced
        assert push.complete
        assert push.compare_url == "https://github.com/o/r/compare/a...b"
        assert push.commits[0].author_email == "builder@example.com"
        assert push.commits[0].message == "Say hello"

    def test_a_full_list_of_commits_is_taken_as_cut(self) -> None:
        fields = self.push_body()
        fields["commits"] = fields["commits"] * 2048
        assert not self.parse(fields).pushes[0].complete

    @pytest.mark.parametrize("event", ["ping", "release", "x" * 500, "\0"])
    def test_other_events_give_a_reason(self, event: str) -> None:
        delivery = GitHub(Account()).parse(WebhookRequest({"x-github-event": event}, b"{}"))
        assert delivery.pushes == ()
        check_clean(delivery)

    @pytest.mark.parametrize("file", captured("github") + captured("github-enterprise"))
    def test_captured_bodies(self, file: Path) -> None:
        event = event_of(file)
        delivery = GitHub(Account()).parse(WebhookRequest({"x-github-event": event}, file.read_bytes()))
        assert len(delivery.pushes) == expected_pushes(file)
        fields = json.loads(file.read_bytes())
        assert delivery.repository == fields.get("repository", {}).get("full_name", "")
        for push in delivery.pushes:
            assert push.after == fields["after"]
            assert push.user_name == fields["pusher"]["name"]
        check_clean(delivery)
