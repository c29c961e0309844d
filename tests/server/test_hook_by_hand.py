"""A hook that is added by hand: its secret is entered on the dashboard, and never shown."""

import pytest
from django.urls import reverse

from ftp_deploy.models import AuditEntry, Service
from tests.factories import make_service
from tests.server import sample
from tests.server.test_actions import form_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client, monkeypatch):
    monkeypatch.setattr("ftp_deploy.tasks.send", lambda name, *ids, **_: True)
    client.force_login(sample.add_admin())
    return client


def test_a_new_service_has_a_secret_that_nobody_entered(operator):
    blank = form_of(Service(), host="ftp.example.com", username="u", repository_slug="o/site", password="p")
    operator.post(reverse("ftpdeploy_service_add"), {**blank, "hook_secret": ""})
    assert len(Service.objects.get().hook_secret) == 30


def test_a_secret_of_ones_own_is_kept_and_not_shown(operator):
    service = make_service(provider="git", repository_slug="https://git.example.com/site.git")
    made = service.hook_secret
    address = reverse("ftpdeploy_service_edit", args=[service.pk])
    operator.post(address, form_of(service, hook_secret="", password=""))
    assert Service.objects.get().hook_secret == made
    operator.post(address, form_of(service, hook_secret="canary-of-the-pipeline", password=""))
    assert Service.objects.get().hook_secret == "canary-of-the-pipeline"
    assert AuditEntry.objects.latest("pk").detail["fields"] == ["hook_secret"]
    page = operator.get(address).content.decode()
    assert 'name="hook_secret"' in page
    assert "canary-of-the-pipeline" not in page


def test_a_secret_is_not_cleared_while_hooks_must_be_signed(operator):
    service = make_service()
    address = reverse("ftpdeploy_service_edit", args=[service.pk])
    clear = form_of(service, hook_secret="", password="") | {"hook_secret-clear": "1"}
    page = operator.post(address, clear).content.decode()
    assert "Without a secret no hook can be signed" in page
    assert Service.objects.get().hook_secret == service.hook_secret
    unsigned = {name: value for name, value in clear.items() if name != "signature_required"}
    operator.post(address, unsigned)
    assert (Service.objects.get().hook_secret, Service.objects.get().signature_required) == ("", False)


@pytest.mark.parametrize(("provider", "by_hand"), [("git", True), ("github", False)])
def test_where_no_api_can_add_the_hook_the_page_leads_to_its_address(operator, provider, by_hand):
    service = make_service(provider=provider)
    page = operator.get(reverse("ftpdeploy_service_manage", args=[service.pk])).content.decode()
    assert (f"{reverse('ftpdeploy_service_edit', args=[service.pk])}#section-security" in page) is by_hand
    assert (reverse("ftpdeploy_service_hook", args=[service.pk]) in page) is not by_hand
