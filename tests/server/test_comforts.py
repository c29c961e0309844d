"""What people who are here all day count on: the tab, addresses of log lines, copying, keys."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from ftp_deploy.models import Deploy, LogLine
from tests.server import sample
from tests.server.axe import violations

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SOON = 30_000
"""Milliseconds in which a page has to show what happened; machines are slow at times."""


def icon(page) -> str:
    return page.locator("link[rel=icon]").get_attribute("href").rpartition("/")[2]


def test_the_tab_tells_how_far_a_deploy_is_and_how_it_ended(open_page, services):
    page = open_page()
    running = Deploy.objects.get(state="running")
    page.goto(reverse("ftpdeploy_deploy_detail", args=[running.pk]))
    expect(page).to_have_title(re.compile(rf"^\d+ % Deploy #{running.pk} of northwind-shop"), timeout=SOON)
    assert icon(page) == "mark-running.svg"
    Deploy.objects.filter(pk=running.pk).update(bytes_done=18_400_000)
    expect(page).to_have_title(re.compile("^92 % "), timeout=SOON)
    Deploy.objects.filter(pk=running.pk).update(state="succeeded", phase="finishing", finished_at=timezone.now())
    expect(page).to_have_title(re.compile("^Success Deploy #"), timeout=SOON)
    assert icon(page) == "mark-good.svg"
    page.goto(reverse("ftpdeploy_dashboard") + "?state=failing")
    expect(page).to_have_title(re.compile(r"^\(2\) Dashboard"), timeout=SOON)
    assert icon(page) == "mark-bad.svg"
    page.goto(reverse("ftpdeploy_log"))
    assert page.title().startswith("Log")
    assert icon(page) == "mark.svg"


def test_a_line_of_the_log_has_an_address_and_problems_are_a_click_away(open_page, services):
    deploy = Deploy.objects.failed().filter(service=services[4]).latest("pk")
    LogLine.objects.filter(deploy=deploy).delete()
    sample.add_log(deploy, 700)
    page = open_page()
    page.goto(reverse("ftpdeploy_deploy_detail", args=[deploy.pk]) + "#L300")
    target = page.locator("#log .log-time.is-target")
    expect(target).to_have_attribute("data-line", "300", timeout=SOON)
    expect(target).to_be_in_viewport()
    assert page.locator("[data-log-follow]").get_attribute("aria-pressed") == "false"
    assert violations(page) == []
    page.locator('[data-line="301"]').click()
    expect(target).to_have_attribute("data-line", "301")
    assert page.url.endswith("#L301")
    expect(page.locator("[data-log-problems-number]")).to_have_text("87")
    for line in ("302", "310"):
        page.click("[data-log-problems]")
        expect(target).to_have_attribute("data-line", line)
        expect(target).to_be_in_viewport()
    page.click("[data-log-wrap]")
    page.reload()
    expect(page.locator("#log")).to_have_class(re.compile("wraps"))


def test_a_commit_an_error_and_the_log_are_copied(open_page, services):
    deploy = Deploy.objects.failed().filter(service=services[4]).latest("pk")
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(reverse("ftpdeploy_deploy_detail", args=[deploy.pk]))
    held = "() => navigator.clipboard.readText()"
    page.click(".reply-line [data-copy]")
    expect(page.locator(".reply-line .is-copied [data-copied]")).to_have_text("Copied")
    assert page.evaluate(held) == deploy.error
    page.locator(".commits-between [data-copy]").last.click()
    expect(page.locator(".commits-between .is-copied")).to_have_count(1)
    assert page.evaluate(held) == deploy.after
    page.click("[data-log-copy]")
    expect(page.locator("[data-log-copy].is-copied")).to_have_count(1)
    assert page.evaluate(held).count("\n") == deploy.log_lines.count()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as on plain http
    expect(page.locator(".is-copied")).to_have_count(0, timeout=SOON)
    page.evaluate("document.addEventListener('copy', () => { window.old = getSelection().toString(); })")
    page.click(".reply-line [data-copy]")
    expect(page.locator(".reply-line .is-copied")).to_have_count(1)
    assert page.evaluate("window.old") == deploy.error


def test_keys_lead_to_the_search_and_to_the_pages_and_can_be_switched_off(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_dashboard"))
    page.keyboard.press("/")
    expect(page.locator("#filter-text")).to_be_focused()
    page.keyboard.type("g?l/")  # text, while somebody types
    assert page.locator("#filter-text").input_value() == "g?l/"
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("dialog[open] h2")).to_have_text("Keyboard shortcuts")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url(re.compile(reverse("ftpdeploy_log")))
    page.click("summary[aria-label^='Account of']")
    page.click("[data-keys-help]")
    page.uncheck("[data-keys-on]")
    page.click("[data-dialog-close]")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "filter-text"
    assert page.url.endswith(reverse("ftpdeploy_log"))


WIDER = """() => [document.documentElement, ...document.querySelectorAll('.table-card')]
  .map(box => box.scrollWidth - box.clientWidth).filter(over => over > 0)"""


@pytest.mark.parametrize("width", [768, 900, 1100])
def test_nothing_is_cut_off_between_a_phone_and_a_desktop(open_page, services, width):
    page = open_page(width=width)
    for name, arguments in (
        ("dashboard", []),
        ("log", []),
        ("audit", []),
        ("notifications", []),
        ("accounts", []),
        ("service_manage", [services[4].pk]),
    ):
        page.goto(reverse(f"ftpdeploy_{name}", args=arguments))
        assert page.evaluate(WIDER) == [], name
