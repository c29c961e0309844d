"""Strangers at the door: whatever they send, no 500, no wrong accept, no row of another service touched.

``FTP_DEPLOY_FUZZ_EXAMPLES`` is the number of requests per forge in the long run (marks ``slow`` and ``faults``).
"""

import json
import os
import random
from typing import Any
from urllib.parse import quote

import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftp_deploy import views
from ftp_deploy.deploys.queue import Recorded
from ftp_deploy.models import Deploy, Service
from ftp_deploy.providers.base import Delivery, PushEvent
from tests.factories import make_service
from tests.providers.test_bitbucket import TestBitbucketWebhook as BitbucketSample
from tests.providers.test_git import TestGitWebhook as GitSample
from tests.providers.test_gitea import TestForgejo as ForgejoSample
from tests.providers.test_github import TestGitHubWebhook as GitHubSample
from tests.providers.test_gitlab import TestSecretToken as GitLabTokenSample
from tests.providers.test_gitlab import TestSigningToken as GitLabSignatureSample
from tests.providers.webhook_contract import STRANGE, WebhookContract, check_clean, mutations

pytestmark = pytest.mark.django_db

SAMPLES: dict[str, WebhookContract] = {
    "github": GitHubSample(),
    "bitbucket": BitbucketSample(),
    "gitlab": GitLabSignatureSample(),
    "gitlab token": GitLabTokenSample(),
    "gitea": ForgejoSample(),
    "git": GitSample(),
}
BATCH = 50
"""Requests of the long run that are made of one drawn one, each with another seed, kind, signature and type."""
LONG = int(os.environ.get("FTP_DEPLOY_FUZZ_EXAMPLES", "2000"))
FORM = "application/x-www-form-urlencoded"
HEADERS = (
    "x-github-event", "x-github-delivery", "x-hub-signature", "x-hub-signature-256", "x-event-key", "x-request-uuid",
    "x-gitlab-event", "x-gitlab-token", "idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature",
    "x-gitea-event", "x-forgejo-event", "x-gitea-signature", "x-forgejo-signature", "x-ftp-deploy-signature",
    "x-ftp-deploy-delivery", "x-http-method-override", "x-forwarded-for", "content-encoding", "accept", "cookie",
)  # fmt: skip
KINDS = ("as sent", "mutated", "mutated", "twice", "json", "bytes", "cut")
SIGNATURES = ("right", "right", "wrong secret", "empty secret", "other body", "none", "cut", "garbage")
CONTENT_TYPES = ("application/json", FORM, "multipart/form-data; boundary=x", "text/plain", "", "application/json; x=é")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(STRANGE[:9]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
header_values = st.text(st.characters(max_codepoint=255), max_size=40) | st.sampled_from(["push", "ping", "repo:push"])


@st.composite
def requests(draw: Any) -> dict[str, Any]:
    """Draw what a request is made of; ``build`` makes it for one forge."""
    return {
        "kind": draw(st.sampled_from(KINDS)),
        "seed": draw(st.integers(0, 2**32)),
        "value": draw(json_values),
        "raw": draw(st.binary(max_size=60)),
        "headers": draw(st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=3)),
        "content_type": draw(st.sampled_from(CONTENT_TYPES)),
        "signature": draw(st.sampled_from(SIGNATURES)),
    }


def mutated(fields: Any, value: Any, choice: random.Random) -> Any:
    """Return the fields with one of them, at any depth, left out or replaced."""
    return choice.choice(list(mutations(fields, value)) or [value])


def body_of(sample: WebhookContract, drawn: dict[str, Any]) -> bytes:
    choice = random.Random(drawn["seed"])
    fields: Any = sample.push_body()
    match drawn["kind"]:
        case "bytes":
            return bytes(drawn["raw"])
        case "json":
            fields = drawn["value"]
        case "mutated" | "cut":
            fields = mutated(fields, drawn["value"], choice)
        case "twice":
            fields = mutated(mutated(fields, drawn["value"], choice), choice.choice(STRANGE), choice)
    text = json.dumps(fields, ensure_ascii=choice.random() < 0.5).encode(errors="surrogatepass")
    if drawn["content_type"] == FORM and choice.random() < 0.9:
        text = b"payload=" + quote(text).encode()
    return text[: choice.randrange(len(text) + 1)] if drawn["kind"] == "cut" else text


def signature_of(sample: WebhookContract, secret: str, body: bytes, drawn: dict[str, Any]) -> dict[str, str]:
    """Return the headers that sign a body; all but "right" must never pass."""

    def sign(text: bytes, key: str) -> dict[str, str]:
        try:
            return sample.sign(text, key, drawn["content_type"].partition(";")[0])
        except Exception:  # Gitea signs a form's content: of what is no form there is no signature
            return {}

    match drawn["signature"]:
        case "right":
            return sign(body, secret)
        case "wrong secret":
            return sign(body, secret + "x")
        case "empty secret":
            return sign(body, "")
        case "other body":
            return {} if sample is SAMPLES["gitlab token"] else sign(body + b" ", secret)
        case "cut":
            return {name: value[:-1] for name, value in sign(body, secret).items()}
        case "garbage":
            return dict.fromkeys(sign(b"{}", secret), bytes(drawn["raw"]).decode("latin-1"))
    return {}


def knock(name: str, service: Service, drawn: dict[str, Any]) -> tuple[int, bytes]:
    sample = SAMPLES[name]
    body = body_of(sample, drawn)
    headers = {**sample.push_headers, **drawn["headers"]}
    headers.update(signature_of(sample, service.hook_secret, body, drawn))
    request = RequestFactory().generic(
        "POST", f"/deploy/{service.secret_key}", body, content_type=drawn["content_type"], headers=headers
    )
    response = views.deploy(request, service.secret_key)
    assert json.loads(response.content)["detail"]  # type: ignore[attr-defined]
    return response.status_code, body


def check(name: str, service: Service, other: Service, drawn: dict[str, Any]) -> int:
    status, body = knock(name, service, drawn)
    assert status in expected(drawn)
    stored = list(Deploy.objects.all())
    assert len(stored) == (status == 202)
    for deploy in stored:
        assert deploy.service_id == service.pk
        assert deploy.after.encode() in body
        assert Service.objects.filter(pk=other.pk, status=other.status, hook_id="", lease_epoch=0).exists()
        deploy.delete()
    return status


def expected(drawn: dict[str, Any]) -> set[int]:
    """Return the answers that are right: what is not signed never passes, whatever else it is."""
    if drawn["signature"] != "right":
        return {403}
    # A form that is none cannot be signed as Gitea does it, so there 403 is right as well.
    return {200, 202, 400, 403} if drawn["content_type"] == FORM else {200, 202, 400}


@pytest.fixture(params=SAMPLES)
def pair(request: pytest.FixtureRequest, settings: Any) -> tuple[str, Service, Service]:
    settings.FTP_DEPLOY_WEBHOOK_RATE = 0
    provider = request.param.partition(" ")[0]
    return request.param, make_service(provider=provider), make_service(provider=provider)


short = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
long = settings(max_examples=LONG // BATCH, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def test_a_good_request_is_stored(pair: tuple[str, Service, Service]) -> None:
    drawn = {"kind": "as sent", "seed": 1, "headers": {}, "signature": "right", "content_type": "application/json"}
    assert check(*pair, drawn) == 202


@short
@given(drawn=requests())
def test_any_request(pair: tuple[str, Service, Service], drawn: dict[str, Any]) -> None:
    check(*pair, drawn)


@pytest.fixture(params=SAMPLES)
def doorstep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, settings: Any) -> tuple[str, Service]:
    """A service that is only in memory: the long run is about what is before the database."""
    settings.FTP_DEPLOY_WEBHOOK_RATE = 0
    monkeypatch.setattr(views.logger, "disabled", True)  # a line for each of very many refusals
    service = Service(pk=1, provider=request.param.partition(" ")[0], repository_slug="o/r")
    monkeypatch.setattr(views.door, "find_service", lambda secret_key: service)

    def record(service: Service, delivery_id: str, event: PushEvent) -> Recorded:
        check_clean(Delivery(delivery_id, (event,)))
        return Recorded(Deploy(pk=1, after=event.after), created=True)

    monkeypatch.setattr(views.queue, "record_push", record)
    return request.param, service


@pytest.mark.slow
@pytest.mark.faults
@long
@given(drawn=requests())
def test_very_many_requests(doorstep: tuple[str, Service], drawn: dict[str, Any]) -> None:
    choice = random.Random(drawn["seed"])
    for _ in range(BATCH):
        status, _body = knock(*doorstep, drawn)
        assert status in expected(drawn), drawn
        drawn = {
            **drawn,
            "seed": choice.randrange(2**32),
            "kind": choice.choice(KINDS),
            "signature": choice.choice(SIGNATURES),
            "content_type": choice.choice(CONTENT_TYPES),
        }


@pytest.mark.parametrize("value", [None, 7, "x", [{}], {"a": []}], ids=ascii)
def test_every_field_missing_or_of_another_type(pair: tuple[str, Service, Service], value: Any) -> None:
    name, service, other = pair
    drawn = {"kind": "json", "seed": 1, "raw": b"", "headers": {}, "signature": "right"}
    for fields in mutations(SAMPLES[name].push_body(), value):
        check(name, service, other, {**drawn, "value": fields, "content_type": "application/json"})
