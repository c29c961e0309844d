"""The hook of a service on a real forge: made, found, renewed, removed; and it delivers."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory
from django.urls import reverse

from ftp_deploy import hooks
from ftp_deploy.exceptions import ApiError, ConfigurationError
from ftp_deploy.models import Account, Deploy, Service
from ftp_deploy.providers.base import Hook
from ftp_deploy.providers.cache import conditional_answers
from ftp_deploy.standalone.forge import Forge
from tests.factories import make_service

BASE = "https://deploy.example.com"


@pytest.fixture(autouse=True)
def _clean(settings: Any) -> Iterator[None]:
    settings.FTP_DEPLOY_BASE_URL = BASE
    conditional_answers.clear()
    yield
    conditional_answers.clear()


def service_of(forge: Forge) -> Service:
    account = Account.objects.create(
        name="forge", provider="github", username=forge.username, token=forge.token, url=forge.url
    )
    return make_service(account=account, repository_slug=f"{forge.username}/site")


@pytest.fixture
def service(forge: Forge, db: None) -> Service:
    return service_of(forge)


class TestAddress:
    @pytest.mark.django_db
    def test_the_settings_say_where_this_site_is(self) -> None:
        service = make_service()
        assert hooks.hook_url(service) == f"{BASE}/ftpdeploy/deploy/{service.secret_key}"

    @pytest.mark.django_db
    def test_else_the_request_does(self, settings: Any) -> None:
        settings.FTP_DEPLOY_BASE_URL = ""
        service = make_service()
        request = RequestFactory().get("/", headers={"host": "other.example.com"})
        assert hooks.hook_url(service, request).startswith("http://other.example.com/ftpdeploy/deploy/")
        assert hooks.hook_url(service) == ""
        with pytest.raises(ConfigurationError, match="not known"):
            hooks.needed_address(service.secret_key, None)

    def test_a_hook_is_known_by_its_key(self) -> None:
        mine = Hook("1", f"{BASE}/deploy/{'k' * 30}", active=False)
        active = Hook("2", f"https://old.example.com/x/deploy/{'k' * 30}/", active=True)
        other = Hook("3", f"{BASE}/deploy/{'x' * 30}?{'k' * 30}", active=True)
        assert hooks.find_hook([other, mine, active], "k" * 30) == active
        assert hooks.find_hook([other, mine], "k" * 30) == mine
        assert hooks.find_hook([other], "k" * 30) is None


@pytest.mark.integration
class TestOnTheForge:
    def test_it_is_added_once(self, service: Service, forge: Forge) -> None:
        first = hooks.install_hook(service)
        again = hooks.install_hook(service)
        assert first.id == again.id == Service.objects.get().hook_id
        (stored,) = forge["site"].hooks.values()
        assert (stored.url, stored.secret, stored.active) == (hooks.hook_url(service), service.hook_secret, True)

    def test_one_made_by_hand_is_used_and_its_further_choices_stay(self, service: Service, forge: Forge) -> None:
        config = {"url": hooks.hook_url(service), "content_type": "form"}
        service.forge().client.send(  # type: ignore[attr-defined]
            "POST",
            f"repos/{service.repository_slug}/hooks",
            {"name": "web", "active": False, "events": ["issues"], "config": config},
        )
        hooks.install_hook(service)
        (stored,) = forge["site"].hooks.values()
        assert stored.active
        assert set(stored.events) == {"issues", "push"}
        assert stored.config["content_type"] == "form"
        assert stored.secret == service.hook_secret

    def test_both_keys_are_renewed_and_the_hook_with_them(self, service: Service, forge: Forge) -> None:
        hooks.install_hook(service)
        old = (service.secret_key, service.hook_secret)
        assert hooks.renew_keys(service)
        renewed = Service.objects.get()
        assert renewed.secret_key != old[0]
        assert renewed.hook_secret != old[1]
        (stored,) = forge["site"].hooks.values()
        assert (stored.url, stored.secret) == (hooks.hook_url(renewed), renewed.hook_secret)

    def test_where_the_forge_refuses_nothing_is_changed(self, service: Service, forge: Forge) -> None:
        hooks.install_hook(service)
        before = Service.objects.get()
        forge.token = "another"
        with pytest.raises(ApiError):
            hooks.renew_keys(service)
        after = Service.objects.get()
        assert (after.secret_key, after.hook_secret) == (before.secret_key, before.hook_secret)

    def test_without_a_hook_the_keys_are_new_all_the_same(self, service: Service) -> None:
        old = service.secret_key
        assert not hooks.renew_keys(service)
        assert Service.objects.get().secret_key != old

    def test_it_is_removed(self, service: Service, forge: Forge) -> None:
        hooks.install_hook(service)
        assert hooks.remove_hook(service)
        assert not hooks.remove_hook(service)
        assert forge["site"].hooks == {}
        assert Service.objects.get().hook_id == ""


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_a_hook_delivers_also_after_the_repository_was_renamed(forge: Forge, live_server: Any, settings: Any) -> None:
    settings.FTP_DEPLOY_BASE_URL = live_server.url
    service = service_of(forge)
    hooks.install_hook(service)
    forge.wait_for_deliveries()
    first = forge.commit("site", {"a.txt": b"1"}, "One")
    forge.wait_for_deliveries()
    forge.rename("site", "pages")
    second = forge.commit("pages", {"a.txt": b"2"}, "Two")
    forge.wait_for_deliveries()
    assert [delivery.status for delivery in forge.deliveries] == [200, 202, 202]
    assert list(Deploy.objects.order_by("pk").values_list("after", flat=True)) == [first, second]
    assert reverse("ftpdeploy_deploy", args=[service.secret_key]) in forge["pages"].hooks[1].url


@pytest.mark.django_db
def test_without_an_api_the_keys_are_renewed_for_a_hook_that_is_set_by_hand() -> None:
    service = make_service(provider="git", repository_slug="https://git.example.com/site.git")
    before = (service.secret_key, service.hook_secret)
    assert not hooks.renew_keys(service)
    service.refresh_from_db()
    assert service.secret_key != before[0]
    assert service.hook_secret != before[1]


@pytest.mark.parametrize(("status", "raised"), [(404, False), (403, True)])
def test_a_repository_whose_hooks_may_not_be_seen(status: int, raised: bool) -> None:
    """404 says that there is none for this token; any other refusal is told."""

    class Closed:
        has_api = True

        def hooks(self, slug: str) -> list[Hook]:
            raise ApiError("no", status=status)

    service = Service(repository_slug="owner/site", secret_key="x")
    if not raised:
        assert hooks.hook_on(Closed(), service) is None  # type: ignore[arg-type]
        return
    with pytest.raises(ApiError):
        hooks.hook_on(Closed(), service)  # type: ignore[arg-type]
