"""What every provider promises about webhooks; a provider's test class inherits ``WebhookContract``."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote

import pytest

from ftp_deploy.exceptions import PayloadUnreadable, SignatureRefused
from ftp_deploy.providers.base import Account, Delivery, Provider, WebhookRequest

SECRET = "It's a Secret to Everybody"
OLD = "a" * 39 + "1"
NEW = "b" * 39 + "2"
ZERO = "0" * 40
STRANGE = (None, True, 0, -1, 1.5, "", "x", "\0", "\ud800", "é" * 3000, [], {}, [None], ["x"], {"name": {}}, [[{}]])
"""Values of every JSON type, to put in the place of another."""


def digest(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class WebhookContract:
    """``push_body`` builds the forge's body for one branch; ``sign`` the headers that authenticate a body."""

    provider_class: type[Provider]
    push_headers: dict[str, str] = {}
    takes_forms = True

    def provider(self) -> Provider:
        return self.provider_class(Account(url="https://forge.example.com"))

    def push_body(self, ref: str = "refs/heads/main", before: str = OLD, after: str = NEW) -> dict[str, Any]:
        raise NotImplementedError

    def sign(self, body: bytes, secret: str, content_type: str = "application/json") -> dict[str, str]:
        raise NotImplementedError

    def request(self, body: bytes, secret: str = SECRET, content_type: str = "application/json") -> WebhookRequest:
        headers = {**self.push_headers, **self.sign(body, secret, content_type)}
        return WebhookRequest(headers, body, content_type)

    def parse(self, fields: Any) -> Delivery:
        return self.provider().parse(WebhookRequest(self.push_headers, json.dumps(fields).encode()))

    # Signatures

    def test_a_signed_body_passes(self) -> None:
        self.provider().verify(self.request(b'{"a": 1}'), SECRET)

    def test_another_secret_is_refused(self) -> None:
        with pytest.raises(SignatureRefused):
            self.provider().verify(self.request(b'{"a": 1}', "another"), SECRET)

    def test_an_empty_secret_never_passes(self) -> None:
        with pytest.raises(SignatureRefused):
            self.provider().verify(self.request(b'{"a": 1}', ""), "")
        with pytest.raises(SignatureRefused):
            self.provider().verify(WebhookRequest({}, b'{"a": 1}'), "")

    @pytest.mark.parametrize("value", ["", "sha256=", "sha1=abc", "é", "sha256=é", "\ud800", "v1,", " "])
    def test_an_empty_or_strange_signature_is_refused(self, value: str) -> None:
        headers = dict.fromkeys(self.sign(b"{}", SECRET), value)
        with pytest.raises(SignatureRefused):
            self.provider().verify(WebhookRequest(headers, b"{}"), SECRET)
        with pytest.raises(SignatureRefused):
            self.provider().verify(WebhookRequest({}, b"{}"), SECRET)

    def test_the_form_encoded_body_is_signed_as_the_forge_does(self) -> None:
        if not self.takes_forms:
            pytest.skip("this forge sends JSON only")
        form = b"payload=" + quote(json.dumps(self.push_body() | {"é": "é&="}, ensure_ascii=False)).encode()
        request = self.request(form, content_type="application/x-www-form-urlencoded")
        self.provider().verify(request, SECRET)
        assert [push.after for push in self.provider().parse(request).pushes] == [NEW]

    # Payloads

    def test_a_push_is_read(self) -> None:
        (push,) = self.parse(self.push_body()).pushes
        assert (push.branch, push.before, push.after) == ("main", OLD, NEW)

    def test_a_branch_name_may_hold_slashes(self) -> None:
        (push,) = self.parse(self.push_body("refs/heads/feature/a/b")).pushes
        assert push.branch == "feature/a/b"

    def test_a_new_branch_has_nothing_before(self) -> None:
        (push,) = self.parse(self.push_body(before=ZERO)).pushes
        assert push.before == ""

    def test_a_sha256_repository_is_read(self) -> None:
        (push,) = self.parse(self.push_body(before="c" * 64, after="d" * 64)).pushes
        assert push.after == "d" * 64

    def test_a_deleted_branch_and_a_tag_give_a_reason(self) -> None:
        for fields in (self.push_body(after=ZERO), self.push_body("refs/tags/v1")):
            delivery = self.parse(fields)
            assert delivery.pushes == ()
            assert delivery.reason

    @pytest.mark.parametrize("after", ["", "main", "B" * 40, "b" * 39, "b" * 41, 7, [], {}, True, "b" * 40 + "\n"])
    def test_a_strange_commit_id_is_unreadable(self, after: Any) -> None:
        with pytest.raises(PayloadUnreadable):
            self.parse(self.push_body(after=after))

    @pytest.mark.parametrize(
        "body", [b"", b"null", b"[]", b'"x"', b"7", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"a": NaN', b"9" * 5000]
    )
    def test_what_is_no_json_object_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(PayloadUnreadable):
            self.provider().parse(WebhookRequest(self.push_headers, body))

    @pytest.mark.parametrize("body", [b"", b"payload", b"payload=", b"x=1", b"payload=1&payload=2", b"\xff=1"])
    def test_a_strange_form_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(PayloadUnreadable):
            self.provider().parse(WebhookRequest(self.push_headers, body, "application/x-www-form-urlencoded"))

    @pytest.mark.parametrize("value", STRANGE, ids=ascii)
    def test_every_field_may_be_missing_or_of_another_type(self, value: Any) -> None:
        for fields in mutations(self.push_body(), value):
            try:
                delivery = self.parse(fields)
            except PayloadUnreadable:
                continue
            check_clean(delivery)


def mutations(value: Any, replacement: Any) -> Any:
    """Yield copies of a JSON value with one field or item left out, or replaced, at any depth."""
    if isinstance(value, dict):
        for name in value:
            rest = {key: item for key, item in value.items() if key != name}
            yield rest
            yield {**value, name: replacement}
            for changed in mutations(value[name], replacement):
                yield {**value, name: changed}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield value[:index] + value[index + 1 :]
            yield [*value[:index], replacement, *value[index + 1 :]]
            for changed in mutations(item, replacement):
                yield [*value[:index], changed, *value[index + 1 :]]


def check_clean(delivery: Delivery) -> None:
    """Every text that may reach the database is one that every database stores."""
    assert delivery.pushes or delivery.reason
    texts = [delivery.delivery_id, delivery.repository]
    for push in delivery.pushes:
        assert len(push.after) in {40, 64}
        texts += [push.branch, push.before, push.after, push.user_name, push.user_email, push.compare_url]
        for commit in push.commits:
            texts += [commit.id, commit.message, commit.author_name, commit.author_email, commit.timestamp, commit.url]
    for text in texts:
        assert isinstance(text, str)
        assert "\0" not in text
        text.encode()
