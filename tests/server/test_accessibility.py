"""No violation of WCAG 2.2 AA on any page, in light and dark, on the desktop and on a phone."""

import pytest
from django.urls import reverse

from ftp_deploy.models import Account, Deploy, Notification, Service
from tests.server import sample
from tests.server.axe import violations

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def addresses() -> list[str]:
    failing = Service.objects.get(repository_name="law-office").pk
    broken = Service.objects.get(repository_name="festival-2026").pk
    busy = Service.objects.get(repository_name="northwind-shop").pk
    new = Service.objects.get(repository_name="documentation").pk
    shown = ("running", "failed", "succeeded", "skipped")
    states = [Deploy.objects.filter(state=state).latest("pk").pk for state in shown]
    return [
        reverse("ftpdeploy_dashboard"),
        reverse("ftpdeploy_dashboard") + "?text=nothing+fits",
        *[reverse("ftpdeploy_service_manage", args=[pk]) for pk in (failing, broken, busy, new)],
        reverse("ftpdeploy_service_add"),
        reverse("ftpdeploy_service_edit", args=[failing]),
        reverse("ftpdeploy_service_delete", args=[new]),
        reverse("ftpdeploy_service_keys", args=[new]),
        reverse("ftpdeploy_service_notification", args=[new]),
        reverse("ftpdeploy_service_verify", args=[new]),
        reverse("ftpdeploy_service_restore", args=[new]),
        *[reverse("ftpdeploy_deploy_detail", args=[pk]) for pk in states],
        reverse("ftpdeploy_deploy_skip", args=[states[1]]),
        reverse("ftpdeploy_log"),
        reverse("ftpdeploy_log") + "?fails=1&service=" + str(failing),
        reverse("ftpdeploy_audit"),
        reverse("ftpdeploy_statistics"),
        reverse("ftpdeploy_notifications"),
        reverse("ftpdeploy_notification_add"),
        reverse("ftpdeploy_notification_edit", args=[Notification.objects.first().pk]),
        reverse("ftpdeploy_accounts"),
        reverse("ftpdeploy_account_add"),
        reverse("ftpdeploy_account_edit", args=[Account.objects.first().pk]),
        reverse("ftpdeploy_password_change"),
    ]


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_every_page_with_data(open_page, services, theme, width):
    page = open_page(theme, width=width)
    found = {}
    for address in addresses():
        page.goto(address)
        page.wait_for_load_state("load")
        assert page.locator("html").get_attribute("data-bs-theme") == theme
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        said = violations(page) + ([f"scrolls sideways by {overflow} px"] if overflow > 0 else [])
        if said:
            found[address] = said
    assert found == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_without_data(open_page, theme):
    page = open_page(theme)
    for name in ("dashboard", "log", "audit", "statistics", "notifications", "accounts"):
        page.goto(reverse(f"ftpdeploy_{name}"))
        assert violations(page) == [], name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_login_and_a_refused_login(browser, live_server, theme):
    sample.add_admin()
    context = browser.new_context(base_url=live_server.url, color_scheme=theme)
    page = context.new_page()
    page.goto(reverse("ftpdeploy_login"))
    assert violations(page) == []
    page.fill("#id_username", "operator")
    page.fill("#id_password", "wrong")
    page.click("button[type=submit]")
    assert violations(page) == []
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_states_that_come_by_clicking(open_page, services, theme):
    page = open_page(theme)
    page.goto(reverse("ftpdeploy_service_manage", args=[services[4].pk]))
    page.click("#restore tbody a:has-text('Skip')")
    page.wait_for_selector("dialog[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.click("[aria-label='More actions']")
    assert violations(page) == []
    page.click("[aria-label='Change the notification']")
    page.wait_for_selector("#notification-choice")
    assert violations(page) == []
    page.goto(reverse("ftpdeploy_service_add"))
    page.click("main button[type=submit]")
    page.wait_for_selector(".is-invalid")
    assert violations(page) == []


RING = """() => { const e = document.activeElement; if (!e || e === document.body) return ['', true];
  const box = e.closest('.ts-control') || e, style = getComputedStyle(box);
  const drawn = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1.5;
  const shadow = style.boxShadow !== 'none' && !style.boxShadow.startsWith('rgba(0, 0, 0, 0)');
  return [e.outerHTML.slice(0, 120), drawn || shadow]; }"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_focus_is_seen_on_everything_that_takes_it(open_page, services, theme):
    page = open_page(theme)
    failed = Deploy.objects.failed().latest("pk").pk
    for address in (
        reverse("ftpdeploy_dashboard"),
        reverse("ftpdeploy_log"),
        reverse("ftpdeploy_service_manage", args=[services[4].pk]),
        reverse("ftpdeploy_service_edit", args=[services[0].pk]),
        reverse("ftpdeploy_deploy_detail", args=[failed]),
        reverse("ftpdeploy_notification_edit", args=[Notification.objects.first().pk]),
    ):
        page.goto(address)
        unseen = set()
        for _ in range(70):
            page.keyboard.press("Tab")
            element, seen = page.evaluate(RING)
            if not seen:
                unseen.add(element)
        assert unseen == set(), address
