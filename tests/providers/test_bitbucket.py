import json
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.exceptions import PayloadUnreadable, SignatureRefused
from ftp_deploy.providers.base import Account, WebhookRequest
from ftp_deploy.providers.bitbucket import Bitbucket
from tests.providers.samples import PAYLOADS, captured, expected_pushes
from tests.providers.webhook_contract import NEW, OLD, WebhookContract, check_clean, digest

CAPTURED_SECRET = "Gkvl$k$wyNpQAF42"
CAPTURED_DIGEST = "f205c729821c6954aff2afe72b965c34015b4baf96ea8ddc2cc44999c014a035"


def side(ref: str, commit: Any) -> dict[str, Any] | None:
    """One side of a change: null where the commit is zeros, as Bitbucket has it for a new or deleted branch."""
    if commit == "0" * 40:
        return None
    kind, _, name = ref.removeprefix("refs/").partition("/")
    return {"type": "tag" if kind == "tags" else "branch", "name": name, "target": {"hash": commit}}


class TestBitbucketWebhook(WebhookContract):
    provider_class = Bitbucket
    push_headers = {"x-event-key": "repo:push", "x-request-uuid": "c5ca2b1c-2d4c-4b1e-8c0e-1f2f3a4b5c6d"}
    takes_forms = False

    def change(self, ref: str, before: str = OLD, after: str = NEW) -> dict[str, Any]:
        return {
            "old": side(ref, before),
            "new": side(ref, after),
            "created": False,
            "closed": False,
            "forced": True,
            "truncated": True,
            "links": {"html": {"href": "https://bitbucket.org/o/r/branches/compare/b..a"}},
            "commits": [
                {
                    "hash": str(after),
                    "message": "Say hello",
                    "date": "2026-11-01T10:00:00+00:00",
                    "author": {"raw": "Builder Other <builder@example.com>"},
                    "links": {"html": {"href": "https://bitbucket.org/o/r/commits/b"}},
                },
                {"hash": OLD, "message": "Before it", "author": {"raw": "no address"}},
            ],
        }

    def push_body(self, ref: str = "refs/heads/main", before: str = OLD, after: str = NEW) -> dict[str, Any]:
        return {
            "actor": {"display_name": "Builder Other", "nickname": "builder"},
            "repository": {"full_name": "o/r"},
            "push": {"changes": [self.change(ref, before, after)]},
        }

    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        return {"x-hub-signature": f"sha256={digest(secret, body)}"}

    def test_several_refs_in_one_delivery(self) -> None:
        fields = self.push_body()
        fields["push"]["changes"] += [self.change("refs/heads/other"), self.change("refs/tags/v1")]
        assert [push.branch for push in self.parse(fields).pushes] == ["main", "other"]

    def test_what_people_look_at_is_kept(self) -> None:
        delivery = self.parse(self.push_body())
        (push,) = delivery.pushes
        assert delivery.delivery_id == self.push_headers["x-request-uuid"]
        assert delivery.repository == "o/r"
        assert push.user_name == "Builder Other"
        assert push.forced
        assert not push.complete
        assert [commit.id for commit in push.commits] == [OLD, NEW]
        assert (push.commits[1].author_name, push.commits[1].author_email) == ("Builder Other", "builder@example.com")
        assert (push.commits[0].author_name, push.commits[0].author_email) == ("no address", "")

    @pytest.mark.parametrize("changes", [None, {}, "x", [None], ["x"], [{}], [{"new": {"type": "branch"}}]])
    def test_strange_changes_are_unreadable(self, changes: Any) -> None:
        with pytest.raises(PayloadUnreadable):
            self.parse({"push": {"changes": changes}})

    def test_an_empty_list_of_changes_gives_a_reason(self) -> None:
        assert self.parse({"push": {"changes": []}}).reason

    @pytest.mark.skipif(not PAYLOADS.exists(), reason="the captured bodies are not there")
    def test_the_captured_signed_body(self) -> None:
        body = (PAYLOADS / "bitbucket" / "jenkins-bbs-signed_payload.json").read_bytes()
        request = WebhookRequest({"x-hub-signature": f"sha256={CAPTURED_DIGEST}"}, body)
        Bitbucket(Account()).verify(request, CAPTURED_SECRET)
        with pytest.raises(SignatureRefused):
            Bitbucket(Account()).verify(request, "another")

    @pytest.mark.parametrize("file", captured("bitbucket"))
    def test_captured_bodies(self, file: Path) -> None:
        delivery = Bitbucket(Account()).parse(WebhookRequest(self.push_headers, file.read_bytes()))
        assert len(delivery.pushes) == expected_pushes(file)
        assert delivery.repository == json.loads(file.read_bytes())["repository"]["full_name"]
        check_clean(delivery)
