"""The webhook and the deploy status, as a forge and a stranger meet them.

Over 400 lines: all that one small view answers, case by case.
"""

import io
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest, UnreadablePostError
from django.test import Client, RequestFactory
from django.urls import reverse

from ftp_deploy import door, views
from ftp_deploy.models import Account, Deploy, Service
from tests.factories import make_service
from tests.providers.samples import EVENT_HEADERS, captured, event_of, expected_pushes
from tests.providers.webhook_contract import NEW, OLD, ZERO, digest

pytestmark = pytest.mark.django_db

THIRD = "c" * 39 + "3"


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def service() -> Service:
    return Service.objects.create(
        host="ftp.example.com", username="u", password="canary", repository_slug="o/r", repository_name="r"
    )


def body_of(ref: str = "refs/heads/main", before: str = OLD, after: str = NEW, **further: Any) -> bytes:
    return json.dumps({"ref": ref, "before": before, "after": after, **further}).encode()


def tip(commit: str) -> dict[str, Any]:
    return {"type": "branch", "name": "main", "target": {"hash": commit}}


def push(
    client: Client,
    service: Service,
    body: bytes | None = None,
    *,
    event: str = "push",
    delivery: str = "",
    content_type: str = "application/json",
    **headers: str,
) -> Any:
    body = body_of() if body is None else body
    headers = {
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": f"sha256={digest(service.hook_secret, body)}",
        **headers,
    }
    url = reverse("ftpdeploy_deploy", args=[service.secret_key])
    return client.post(url, body, content_type=content_type, headers=headers)


class TestStored:
    def test_a_push_is_stored_and_answered_with_its_id(self, client: Client, service: Service) -> None:
        response = push(client, service, delivery="id-1")
        deploy = Deploy.objects.get()
        assert response.status_code == 202
        assert response.json()["deploy"] == deploy.pk
        assert (deploy.branch, deploy.before, deploy.after) == ("main", OLD, NEW)
        assert (deploy.delivery_id, deploy.provider, deploy.state) == ("id-1", "github", "queued")

    def test_the_same_delivery_again_stores_nothing(self, client: Client, service: Service) -> None:
        first = push(client, service, delivery="id-1")
        again = push(client, service, delivery="id-1")
        assert again.status_code == 200
        assert again.json()["deploy"] == first.json()["deploy"]
        assert again.json()["detail"]
        assert Deploy.objects.count() == 1

    def test_a_replay_under_another_id_stores_nothing(self, client: Client, service: Service) -> None:
        push(client, service, delivery="id-1")
        assert push(client, service, delivery="id-2").status_code == 200
        assert Deploy.objects.count() == 1

    def test_a_form_is_read_as_well(self, client: Client, service: Service) -> None:
        form = b"payload=" + quote(body_of()).encode()
        response = push(client, service, form, content_type="application/x-www-form-urlencoded")
        assert response.status_code == 202

    def test_a_body_over_djangos_own_limit_is_read(self, client: Client, service: Service) -> None:
        assert push(client, service, body_of(padding="x" * 3_000_000)).status_code == 202

    def test_an_unsigned_push_passes_only_where_the_service_says_so(self, client: Client, service: Service) -> None:
        unsigned = {"x-hub-signature-256": ""}
        assert push(client, service, **unsigned).status_code == 403
        Service.objects.update(signature_required=False)
        assert push(client, service, **unsigned).status_code == 202

    def test_several_moves_of_the_branch_in_one_delivery_are_one(self, client: Client, service: Service) -> None:
        Service.objects.update(provider="bitbucket")
        changes = [{"old": tip(before), "new": tip(after)} for before, after in [(OLD, NEW), (NEW, THIRD)]]
        body = json.dumps({"push": {"changes": changes}}).encode()
        headers = {"x-event-key": "repo:push", "x-hub-signature": f"sha256={digest(service.hook_secret, body)}"}
        assert push(client, service, body, **headers).status_code == 202
        deploy = Deploy.objects.get()
        assert (deploy.before, deploy.after) == (OLD, THIRD)


class TestNothingToDeploy:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (body_of("refs/heads/other"), "Only the branch main"),
            (body_of("refs/tags/v1"), "tag"),
            (body_of(after=ZERO), "deleted"),
        ],
    )
    def test_it_is_answered_with_the_reason(self, client: Client, service: Service, body: bytes, words: str) -> None:
        response = push(client, service, body)
        assert response.status_code == 200
        assert words in response.json()["detail"]
        assert not Deploy.objects.exists()

    def test_a_ping_is_answered(self, client: Client, service: Service) -> None:
        assert push(client, service, b'{"zen": "x"}', event="ping").status_code == 200

    def test_a_paused_service_stores_nothing(self, client: Client, service: Service) -> None:
        Service.objects.update(enabled=False)
        assert push(client, service).status_code == 200
        assert not Deploy.objects.exists()


class TestRefused:
    def test_an_unreadable_body(self, client: Client, service: Service) -> None:
        assert push(client, service, b"nonsense").status_code == 400
        assert push(client, service, body_of(after="main")).status_code == 400

    @pytest.mark.parametrize("signature", ["", "sha256=", "sha256=" + "0" * 64, "sha256=é", "nonsense"])
    def test_a_wrong_signature(self, client: Client, service: Service, signature: str) -> None:
        response = push(client, service, **{"x-hub-signature-256": signature})
        assert response.status_code == 403
        assert not Deploy.objects.exists()

    def test_an_empty_hook_secret_never_passes(self, client: Client, service: Service) -> None:
        service.hook_secret = ""
        service.save()
        assert push(client, service).status_code == 403

    def test_another_services_secret(self, client: Client, service: Service) -> None:
        other = Service.objects.create(host="h", username="u", repository_slug="o/r")
        body = body_of()
        headers = {"x-hub-signature-256": f"sha256={digest(other.hook_secret, body)}"}
        assert push(client, service, body, **headers).status_code == 403

    @pytest.mark.parametrize("key", ["x" * 30, "x", "é" * 30, "a\0b", "%00", "x" * 5000, "a b", "'; --"])
    def test_an_unknown_key_is_the_same_404_whatever_it_looks_like(self, client: Client, key: str) -> None:
        url = reverse("ftpdeploy_deploy", args=["k"])[:-1] + quote(key)
        response = client.post(url, b"{}", content_type="application/json")
        assert (response.status_code, response.json()) == (404, {"detail": "There is no such hook."})
        status = client.get(url.replace("deploy/deploy/", "deploy/deploy/status/"))
        assert (status.status_code, status.json()) == (404, {"detail": "There is no such hook."})

    def test_no_refusal_lives_on_with_the_body_it_refused(self, service: Service) -> None:
        refusals = []
        for _ in range(2):
            request = RequestFactory().post("/", body_of(), content_type="application/json")
            with pytest.raises(views.Refused) as caught:
                views.receive(request, "k" * 30)
            refusals.append(caught.value)
        assert refusals[0] is not refusals[1]
        depths = [len(list(traceback.walk_tb(refusal.__traceback__))) for refusal in refusals]
        assert depths[0] == depths[1]

    def test_a_key_in_another_case_is_unknown(self, client: Client, service: Service) -> None:
        Service.objects.update(secret_key="abc" * 10)
        service.secret_key = "ABC" * 10
        assert push(client, service).status_code == 404

    @pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
    def test_only_post_is_allowed(self, client: Client, service: Service, method: str) -> None:
        response = getattr(client, method)(reverse("ftpdeploy_deploy", args=[service.secret_key]))
        assert response.status_code == 405
        assert response["Allow"] == "POST"

    def test_a_body_over_the_limit(self, client: Client, service: Service, settings: Any) -> None:
        settings.FTP_DEPLOY_WEBHOOK_MAX_BYTES = 1000
        assert push(client, service, body_of(padding="x" * 1000)).status_code == 413

    def test_csrf_and_login_are_not_asked_for(self, service: Service) -> None:
        assert push(Client(enforce_csrf_checks=True), service, event="ping").status_code == 200

    def test_a_database_that_fails_is_a_503(
        self, client: Client, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any) -> None:
            raise DatabaseError("canary")

        monkeypatch.setattr(views, "store", fail)
        response = push(client, service)
        assert response.status_code == 503
        assert response["Retry-After"]
        assert b"canary" not in response.content

    def test_a_hook_secret_that_cannot_be_read_is_a_503(self, client: Client, service: Service, settings: Any) -> None:
        secret = service.hook_secret
        settings.SECRET_KEY = "another"
        service.hook_secret = secret
        assert push(client, service).status_code == 503


class TestRate:
    def test_too_many_authentic_requests(self, client: Client, service: Service, settings: Any) -> None:
        settings.FTP_DEPLOY_WEBHOOK_RATE = 2
        assert [push(client, service, event="ping").status_code for _ in range(3)] == [200, 200, 429]

    def test_refused_requests_do_not_use_up_the_limit_of_the_forge(
        self, client: Client, service: Service, settings: Any
    ) -> None:
        settings.FTP_DEPLOY_WEBHOOK_RATE = 2
        wrong = {"x-hub-signature-256": "sha256=00"}
        assert [push(client, service, **wrong).status_code for _ in range(3)] == [403, 403, 429]
        assert push(client, service, event="ping").status_code == 200

    def test_a_broken_cache_limits_nothing(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any) -> None:
            raise ConnectionError

        monkeypatch.setattr(door.cache, "add", fail)
        assert not door.over_limit(service.pk, "authentic")


class TestAllowList:
    def test_an_address_outside_gets_the_404_of_an_unknown_key(
        self, client: Client, service: Service, settings: Any
    ) -> None:
        settings.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": ["192.0.2.0/24"]}
        assert push(client, service, event="ping").status_code == 404
        settings.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": ["127.0.0.0/8"]}
        assert push(client, service, event="ping").status_code == 200

    def test_behind_a_proxy_only_its_own_entry_counts(self, client: Client, service: Service, settings: Any) -> None:
        settings.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": ["192.0.2.0/24"]}
        settings.FTP_DEPLOY_CLIENT_ADDRESS_HEADER = "X-Forwarded-For"
        spoofed = {"X-Forwarded-For": "192.0.2.7, 203.0.113.9"}
        assert push(client, service, event="ping", **spoofed).status_code == 404
        assert push(client, service, event="ping", **{"X-Forwarded-For": "192.0.2.7"}).status_code == 200
        assert push(client, service, event="ping", **{"X-Forwarded-For": "nonsense"}).status_code == 404

    def test_published_addresses(self, client: Client, service: Service, settings: Any) -> None:
        settings.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": "published"}
        assert push(client, service, event="ping").status_code == 200, "not fetched yet: a push is not lost to that"
        door.store_published_networks(service, ["192.0.2.0/24", "2001:db8::/32"])
        assert push(client, service, event="ping").status_code == 404

    def test_what_one_forge_publishes_opens_no_other(self, client: Client, service: Service, settings: Any) -> None:
        settings.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": "published"}
        door.store_published_networks(service, ["192.0.2.0/24"])
        account = Account.objects.create(name="own", provider="github", url="https://git.example.com")
        other = make_service(account=account)
        door.store_published_networks(other, ["0.0.0.0/0", "::/0"])
        assert push(client, service, event="ping").status_code == 404
        assert push(client, other, event="ping").status_code == 200

    def test_what_a_forge_publishes_may_be_nonsense(self, client: Client, service: Service, settings: Any) -> None:
        settings.FTP_DEPLOY_WEBHOOK_ALLOWED_ADDRESSES = {"github": "published"}
        door.store_published_networks(service, ["nonsense", "127.0.0.0/8", ""])
        assert door.published_networks(service) == ["127.0.0.0/8"]
        assert push(client, service, event="ping").status_code == 200


class TestReadBody:
    def request(self, body: bytes, length: object) -> HttpRequest:
        request = RequestFactory().post("/", b"", content_type="application/json")
        request.META["CONTENT_LENGTH"] = length
        request._stream = io.BytesIO(body)  # type: ignore[attr-defined]
        return request

    def test_a_body_that_ends_early(self) -> None:
        with pytest.raises(door.BodyUnreadable):
            door.read_body(self.request(b"abc", "4"))

    def test_a_length_that_is_no_number(self) -> None:
        with pytest.raises(door.BodyUnreadable):
            door.read_body(self.request(b"abc", "x"))

    def test_a_body_longer_than_announced_and_allowed(self, settings: Any) -> None:
        settings.FTP_DEPLOY_WEBHOOK_MAX_BYTES = 10
        with pytest.raises(door.BodyTooLarge):
            door.read_body(self.request(b"x" * 11, ""))
        assert door.read_body(self.request(b"x" * 10, "")) == b"x" * 10

    def test_a_client_that_goes_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any) -> bytes:
            raise UnreadablePostError

        request = self.request(b"abc", "3")
        monkeypatch.setattr(request, "read", fail)
        with pytest.raises(door.BodyUnreadable):
            door.read_body(request)


ALL = [item for folder in EVENT_HEADERS for item in captured(folder)]


@pytest.mark.parametrize("file", ALL)
def test_captured_bodies_get_the_right_answer(client: Client, service: Service, file: Path) -> None:
    folder, body = file.parent.name, file.read_bytes()
    provider = folder.removesuffix("-enterprise")
    branch = next(iter(branches_of(file)), "main")
    Service.objects.update(provider=provider, branch=branch)
    other = Service.objects.create(host="h", username="u", repository_slug="o/r", provider=provider, branch=branch)
    signature = digest(service.hook_secret, body)
    headers = {
        EVENT_HEADERS[folder]: event_of(file),
        "x-hub-signature": f"sha256={signature}",
        "x-hub-signature-256": f"sha256={signature}",
        "x-gitea-signature": signature,
        "x-gitlab-token": service.hook_secret,
    }
    url = reverse("ftpdeploy_deploy", args=[service.secret_key])
    response = client.post(url, body, content_type="application/json", headers=headers)
    assert response.status_code == (202 if expected_pushes(file) else 200), response.content
    assert Deploy.objects.filter(service=service).count() == min(expected_pushes(file), 1)
    assert not Deploy.objects.filter(service=other).exists()
    refused = client.post(url, body + b" ", content_type="application/json", headers=headers)
    assert refused.status_code == (403 if provider != "gitlab" else 200)


def branches_of(file: Path) -> Iterator[str]:
    fields = json.loads(file.read_bytes())
    if file.parent.name == "bitbucket":
        yield from (change["new"]["name"] for change in fields["push"]["changes"] if change["new"])
    elif str(fields.get("ref", "")).startswith("refs/heads/"):
        yield fields["ref"].removeprefix("refs/heads/")


class TestStatus:
    def url(self, service: Service) -> str:
        return reverse("ftpdeploy_deploy_status", args=[service.secret_key])

    def test_a_service_without_deploys_is_idle(self, client: Client, service: Service) -> None:
        response = client.get(self.url(service))
        assert response.json() == {
            "deploy": None,
            "state": "idle",
            "phase": "",
            "queue": 0,
            "files_done": 0,
            "files_total": 0,
            "bytes_done": 0,
            "bytes_total": 0,
            "current_file": "",
        }

    def test_the_running_deploy_is_shown_with_the_queue_behind_it(self, client: Client, service: Service) -> None:
        Deploy.objects.create(service=service, position=1, state="succeeded")
        running = Deploy.objects.create(
            service=service,
            position=2,
            state="running",
            phase="uploading",
            files_done=3,
            files_total=7,
            bytes_done=10,
            bytes_total=20,
            current_file="a/b.css",
        )
        Deploy.objects.create(service=service, position=3)
        assert client.get(self.url(service)).json() == {
            "deploy": running.pk,
            "state": "running",
            "phase": "uploading",
            "queue": 1,
            "files_done": 3,
            "files_total": 7,
            "bytes_done": 10,
            "bytes_total": 20,
            "current_file": "a/b.css",
        }

    def test_the_next_waiting_one_is_not_counted_behind_itself(self, client: Client, service: Service) -> None:
        second = Deploy.objects.create(service=service, position=2)
        first = Deploy.objects.create(service=service, position=1)
        shown = client.get(self.url(service)).json()
        assert (shown["deploy"], shown["queue"]) == (first.pk, 1)
        Deploy.objects.update(state="failed")
        shown = client.get(self.url(service)).json()
        assert (shown["deploy"], shown["state"], shown["queue"]) == (first.pk, "failed", 0)
        assert first.pk > second.pk

    def test_an_unchanged_status_is_not_sent_again(self, client: Client, service: Service) -> None:
        tag = client.get(self.url(service))["ETag"]
        again = client.get(self.url(service), headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        Deploy.objects.create(service=service)
        assert client.get(self.url(service), headers={"if-none-match": tag}).status_code == 200

    def test_no_other_method(self, client: Client, service: Service) -> None:
        assert client.post(self.url(service)).status_code == 405
