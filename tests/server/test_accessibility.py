"""No violation of WCAG 2.2 AA on any page, in light and dark, on the desktop and on a phone."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from ftp_deploy.models import Account, Change, Deploy, Notification, Service
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
    page.wait_for_selector("dialog[open] .dialog-foot")
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


def more_states() -> list[str]:
    """Pages in states that the sample does not show: waiting, cancelled, too many deletes, a failed preview."""
    service = Service.objects.get(repository_name="choir-website")
    long_ago = timezone.now() - timedelta(minutes=5)
    waiting = Deploy.objects.create(service=service, state="queued", position=9e9, attempts=1, next_attempt_at=long_ago)
    Deploy.objects.filter(pk=waiting.pk).update(created_at=long_ago)
    stopped = Deploy.objects.create(
        service=Service.objects.get(repository_name="landing-pages"),
        state="failed",
        error="It would delete 40 files.",
        error_kind="TooManyDeletes",
        warnings=["a.txt: kept as it was."],
        commits=[{"id": "a" * 40, "message": "x" * 300, "author_name": "y" * 90, "url": ""}],
        position=9e9,
    )
    Change.objects.create(deploy=stopped, path=f"assets/{'deep/' * 40}{'x' * 90}.webp", action="add")
    cancelled = Deploy.objects.create(service=service, state="cancelled", error="Stopped by a person.", position=1)
    Service.objects.filter(repository_name="documentation").update(enabled=False)
    off = Service.objects.get(repository_name="documentation")
    page = reverse("ftpdeploy_deploy_detail", args=[waiting.pk])
    return [
        page,
        reverse("ftpdeploy_service_manage", args=[service.pk]),
        reverse("ftpdeploy_service_manage", args=[stopped.service_id]),
        reverse("ftpdeploy_deploy_detail", args=[stopped.pk]),
        reverse("ftpdeploy_deploy_confirm", args=[stopped.pk]),
        reverse("ftpdeploy_deploy_detail", args=[cancelled.pk]) + "?file=nothing",
        reverse("ftpdeploy_dashboard") + "?state=running",
        reverse("ftpdeploy_dashboard") + "?state=disabled",
        reverse("ftpdeploy_service_manage", args=[off.pk]),
        reverse("ftpdeploy_statistics") + f"?service={service.pk}&days=7",
        reverse("ftpdeploy_log") + "?user=nobody",
        reverse("ftpdeploy_account_delete", args=[Account.objects.first().pk]),
        reverse("ftpdeploy_notification_delete", args=[Notification.objects.first().pk]),
    ]


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_states_that_are_rare(open_page, services, theme, width):
    page = open_page(theme, width=width)
    found = {}
    for address in more_states():
        page.goto(address)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        said = violations(page) + ([f"scrolls sideways by {overflow} px"] if overflow > 0 else [])
        if said:
            found[address] = said
    page.evaluate("document.querySelectorAll('.connection').forEach(note => { note.hidden = false; })")
    assert violations(page) == []
    assert found == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_forms_that_were_refused_and_tools_that_answered(open_page, services, pyftpd_server, theme):
    page = open_page(theme)
    for name, field in (
        ("notification_add", "#id_name"),
        ("account_add", "#id_name"),
        ("password_change", "#id_old_password"),
    ):
        page.goto(reverse(f"ftpdeploy_{name}"))
        page.evaluate("document.querySelectorAll('main form').forEach(form => { form.noValidate = true; })")
        page.fill(field, "")
        page.click("main button[type=submit]")
        page.wait_for_load_state("load")
        assert violations(page) == [], name
    page.goto(reverse("ftpdeploy_service_add"))
    page.select_option("#id_provider", "git")
    pyftpd_server.make_folder("www")
    values = {"host": "127.0.0.1", "port": str(pyftpd_server.port), "username": "deploy", "password": "s3cret-word"}
    for name, value in values.items():
        page.fill(f"#id_{name}", value)
    page.click("button:has-text('Test connection')")
    page.wait_for_selector("#connection-result .alert-success")
    page.click("button:has-text('Choose a folder')")
    page.wait_for_selector("#folders button:has-text('www')")
    for summary in page.locator("details.more > summary").all():
        summary.click()
    page.click("#exclude-preview")
    page.wait_for_selector("#exclude-result .alert-danger")
    assert violations(page) == []
    page.fill("#id_password", "wrong")
    page.click("button:has-text('Test connection')")
    page.wait_for_selector("#connection-result .alert-danger")
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
