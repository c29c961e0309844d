"""Pages that live: they follow a deploy without a reload and never take focus, selection or scrolling away."""

import re
import time
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from ftp_deploy.models import Deploy, LogLine, Service
from tests.server import sample
from tests.server.axe import violations
from tests.server.browser import until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SOON = 20_000
"""Milliseconds in which a page has to show what happened; machines are slow at times."""


@pytest.fixture
def running(services):
    deploy = Deploy.objects.get(state="running")
    Deploy.objects.filter(state="queued").delete()
    return deploy


def test_the_progress_bar_moves_and_the_page_ends_by_itself(open_page, running):
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[running.service_id]))
    assert page.locator(".run-panel progress").get_attribute("value") is not None
    Deploy.objects.update(files_done=300, bytes_done=15_000_000)
    until(page, "document.querySelector('[data-bind=files_done]').textContent === '300'")
    Deploy.objects.filter(pk=running.pk).update(state="succeeded", phase="finishing", finished_at=timezone.now())
    page.wait_for_selector(".run-panel", state="detached", timeout=SOON)
    assert "Success" in page.locator(f"#deploy-{running.pk}").inner_text()


def test_a_new_deploy_appears_on_the_dashboard_while_a_person_types(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_dashboard"))
    page.focus("#filter-text")
    row = page.locator(f"#service-{services[5].pk}")
    Deploy.objects.create(service=services[5], state="running", phase="uploading", position=99, files_total=8)
    row.locator("progress").wait_for(timeout=SOON)
    assert page.evaluate("document.activeElement.id") == "filter-text"
    page.keyboard.type("choir")
    until(page, "document.querySelectorAll('.service-row').length === 1")
    assert page.url.endswith("text=choir&state=&provider=")
    assert page.evaluate("document.activeElement.id") == "filter-text"


def test_the_log_grows_and_keeps_what_a_person_typed_and_opened(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_log"))
    page.fill("#filter-text", "harbour")
    page.wait_for_url(re.compile("text=harbour"))
    expect(page.locator("#entries td.first-cell", has_not_text="harbour-bakery")).to_have_count(0, timeout=SOON)
    page.locator("#entries details summary").first.click()
    page.focus("#filter-user")
    newest = Deploy.objects.create(service=services[0], state="running", position=9e9)
    page.wait_for_selector(f"#deploy-{newest.pk} .state-running", timeout=SOON)
    Deploy.objects.filter(pk=newest.pk).update(state="succeeded", finished_at=timezone.now())
    page.wait_for_selector(f"#deploy-{newest.pk} .state-good", timeout=SOON)
    assert page.locator("#entries details[open]").count() == 1
    assert page.evaluate("document.activeElement.id") == "filter-user"
    assert set(page.locator("#entries td.first-cell").all_inner_texts()) == {"harbour-bakery"}


def test_a_selection_stays_until_it_is_given_up(open_page, running):
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[running.service_id]))
    page.evaluate(
        "() => { const r = document.createRange(); r.selectNodeContents(document.querySelector('#recent tbody tr td'));"
        " getSelection().removeAllRanges(); getSelection().addRange(r); }"
    )
    before = page.evaluate("getSelection().toString()")
    Deploy.objects.filter(pk=running.pk).update(state="succeeded", finished_at=timezone.now())
    page.wait_for_selector(".run-panel", state="detached", timeout=SOON)  # the other parts are new
    assert before
    assert page.evaluate("getSelection().toString()") == before
    assert "Running" in page.locator(f"#deploy-{running.pk}").inner_text()
    page.evaluate("getSelection().removeAllRanges()")
    page.wait_for_selector(f"#deploy-{running.pk} .state-good", timeout=SOON)


def test_the_log_follows_pauses_and_stands_fifty_thousand_lines(open_page, running):
    LogLine.objects.filter(deploy=running).delete()
    sample.add_log(running, 50_000)
    page = open_page()
    page.goto(reverse("ftpdeploy_deploy_detail", args=[running.pk]))
    until(page, "document.querySelectorAll('#log pre').length === 200", 120)
    at_end = "(l => l.scrollHeight - l.scrollTop - l.clientHeight < 30)(document.getElementById('log'))"
    until(page, at_end)
    # Scrolling through all of it keeps answering: each step is drawn within a fraction of a second.
    slowest = page.evaluate(
        """async () => {
          const log = document.getElementById('log'); let slowest = 0;
          for (let step = 0; step <= 40; step++) {
            const begin = performance.now();
            log.scrollTop = log.scrollHeight * step / 40;
            await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
            slowest = Math.max(slowest, performance.now() - begin);
          }
          return slowest; }"""
    )
    assert slowest < 1500
    page.evaluate("document.getElementById('log').scrollTop = 1000")
    page.wait_for_selector("[data-log-follow][aria-pressed=false]", timeout=SOON)
    LogLine.objects.create(deploy=running, at=timezone.now(), text="the very last line")
    until(page, "document.getElementById('log').textContent.includes('the very last line')")
    assert page.evaluate("document.getElementById('log').scrollTop") == 1000
    page.click("[data-log-end]")
    until(page, at_end)
    assert page.locator("[data-log-follow]").get_attribute("aria-pressed") == "true"


def test_a_dropped_network_is_said_and_survived(open_page, running):
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[running.service_id]))
    lost: list[str] = []
    page.route(re.compile("/live/"), lambda route: (lost.append(route.request.url), route.abort()))
    page.wait_for_selector("[data-connection]:visible", timeout=SOON)
    page.unroute_all(behavior="ignoreErrors")
    Deploy.objects.update(files_done=301)
    until(page, "document.querySelector('[data-bind=files_done]').textContent === '301'", 60)
    page.wait_for_selector("[data-connection]:visible", state="detached", timeout=SOON)
    assert lost
    open_page.consoles[-1].said.clear()  # the browser itself reports each aborted request


HIDE = """hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => hidden ? 'hidden' : 'visible' });
  document.dispatchEvent(new Event('visibilitychange')); }"""


def test_a_hidden_tab_asks_nothing_and_catches_up_when_it_is_seen(open_page, running):
    page = open_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/live/" in request.url else None)
    with page.expect_response(re.compile("/live/")):
        page.goto(reverse("ftpdeploy_service_manage", args=[running.service_id]))
    page.wait_for_load_state("networkidle")
    page.evaluate(HIDE, True)
    asked.clear()
    Deploy.objects.filter(pk=running.pk).update(state="succeeded", phase="finishing", finished_at=timezone.now())
    page.wait_for_timeout(5000)  # more than twice the pause between two questions
    assert asked == []
    assert page.locator(".run-panel").count() == 1
    page.evaluate(HIDE, False)
    page.wait_for_selector(".run-panel", state="detached", timeout=SOON)
    assert asked


def test_nothing_is_sent_again_while_nothing_changes(open_page, running):
    page = open_page()
    statuses = []
    page.on("response", lambda answer: statuses.append(answer.status) if "/live/" in answer.url else None)
    page.goto(reverse("ftpdeploy_service_manage", args=[running.service_id]))
    Deploy.objects.update(steps={})  # no time left to count down
    ends = time.monotonic() + 60
    while statuses[-2:] != [304, 304]:
        assert time.monotonic() < ends, statuses
        page.wait_for_timeout(200)


def test_focus_open_details_and_scrolling_stay_through_an_update(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[services[4].pk]))
    page.locator("#recent details summary").nth(3).click()
    page.locator("#recent a").nth(7).focus()
    page.evaluate("scrollTo(0, 400)")
    focused = page.evaluate("document.activeElement.href")
    newest = Deploy.objects.create(
        service=services[4], state="failed", error="550 no", position=9e9, user_name="editor"
    )
    page.wait_for_selector(f"#failed-{newest.pk}", timeout=SOON)
    page.wait_for_selector(f"#deploy-{newest.pk}", timeout=SOON)
    assert page.evaluate("document.activeElement.href") == focused
    assert page.locator("#recent details[open]").count() == 1
    assert page.evaluate("scrollY") >= 400


def test_a_login_that_ended_and_a_service_that_is_gone_are_said(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[services[0].pk]))
    Service.objects.filter(pk=services[0].pk).delete()
    cache.clear()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.wait_for_selector("[data-gone]:visible", timeout=SOON)
    page.goto(reverse("ftpdeploy_service_manage", args=[services[1].pk]))
    page.context.clear_cookies()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.click("[data-ended]:visible a")
    page.fill("#id_username", "operator")
    page.fill("#id_password", "sample")
    page.click("button[type=submit]")
    page.wait_for_selector(".run-panel", timeout=SOON)
    open_page.consoles[-1].said.clear()  # the browser itself reports the 404


def test_restore_and_skip_are_locked_while_a_deploy_waits(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[services[4].pk]))
    page.wait_for_selector("#restore header a:has-text('Restore deploys')")
    waiting = Deploy.objects.create(service=services[4], state="queued", position=9e9)
    page.wait_for_selector("#restore .locked", timeout=SOON)
    assert page.locator("#restore a:has-text('Restore deploys')").count() == 0
    assert page.locator("#restore a:has-text('Skip')").count() == 0
    assert "Waiting for a worker" in page.locator("#run-panel").inner_text()
    Deploy.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    page.wait_for_selector("#run-panel .warn-note", timeout=SOON)
    assert "No worker has been seen lately" in page.locator("#run-panel").inner_text()
    page.click("#run-panel button:has-text('Cancel')")
    page.wait_for_selector("#restore header a:has-text('Restore deploys')", timeout=SOON)
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"


def test_the_dialog_asks_before_a_restore_and_escape_leaves_it(open_page, services, monkeypatch):
    from ftp_deploy.deploys.restore import Preview

    preview = Preview(
        "a" * 40, ({"id": "b" * 40, "message": "Fix", "author_name": "Operator", "url": ""},), ("new.html",)
    )
    monkeypatch.setattr("ftp_deploy.deploys.restore.preview_restore", lambda _service: preview)
    monkeypatch.setattr("ftp_deploy.deploys.wakeup.publisher.send", lambda name, *ids, **_: True)
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[services[4].pk]))
    opener = page.locator("#restore header a.btn-primary")
    opener.click()
    page.wait_for_selector("dialog[open] >> text=new.html", timeout=SOON)
    until(page, "document.querySelector('dialog').contains(document.activeElement)")
    assert page.evaluate("document.activeElement.matches('button, a')")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert opener.evaluate("e => e === document.activeElement")
    opener.click()
    page.click("dialog button[type=submit]")
    page.wait_for_selector(".alert-success")
    assert Deploy.objects.filter(kind="restore", service=services[4]).count() == 1


def test_the_dialog_waits_and_says_when_it_cannot_be_had(open_page, services, monkeypatch):
    from ftp_deploy.deploys.restore import Preview

    monkeypatch.setattr("ftp_deploy.deploys.restore.preview_restore", lambda _service: Preview("a" * 40))
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[services[4].pk]))
    held = []
    page.route(re.compile("/restore/$"), lambda route: held.append(route))
    page.click("#restore header a.btn-primary")
    page.wait_for_selector("dialog[open] >> text=One moment", timeout=SOON)
    assert violations(page) == []
    held[0].continue_()
    page.wait_for_selector("dialog[open] button:has-text('Restore')", timeout=SOON)
    page.keyboard.press("Escape")
    page.click("#restore header a.btn-primary")
    page.wait_for_selector("dialog[open] >> text=One moment", timeout=SOON)
    held[1].fulfill(status=500)
    page.wait_for_selector("[data-failed]:visible", timeout=SOON)
    assert page.locator("dialog[open]").count() == 0
    open_page.consoles[-1].said.clear()  # the browser itself reports the 500


def test_without_scripts_one_reads_adds_edits_deploys_and_restores(open_page, services, monkeypatch):
    from ftp_deploy.deploys.restore import Preview

    monkeypatch.setattr("ftp_deploy.deploys.restore.preview_restore", lambda _service: Preview("a" * 40))
    monkeypatch.setattr("ftp_deploy.deploys.wakeup.publisher.send", lambda name, *ids, **_: True)
    monkeypatch.setattr("ftp_deploy.tasks.send", lambda name, *ids, **_: True)
    page = open_page(script=False)
    page.goto(reverse("ftpdeploy_dashboard"))
    page.fill("#filter-text", "harbour")
    page.click(".filters button[type=submit]")
    assert page.locator(".service-row").count() == 1
    page.click(".service-name a")
    page.click("text=Deploy now")
    assert Deploy.objects.filter(kind="manual", service=services[0]).exists()
    page.goto(reverse("ftpdeploy_service_manage", args=[services[4].pk]))
    page.click("#restore header a.btn-primary")
    page.click("main button[type=submit]")
    restoring = Deploy.objects.get(kind="restore", service=services[4])
    page.click("#run-panel button:has-text('Cancel')")
    restoring.refresh_from_db()
    assert restoring.state == "cancelled"
    page.click("#restore tbody tr:first-child a:has-text('Skip')")
    page.click("main button[type=submit]")
    assert page.locator("#restore tbody tr").count() == 2
    page.click("[aria-label='Change the notification']")
    page.select_option("#notification-choice", label="Studio team")
    page.click("main button[type=submit]")
    assert "Studio team" in page.locator("#notification").inner_text()
    page.click("#recent tbody tr:first-child .badge-cell a")
    assert page.locator("#log pre").count() == 1
    page.goto(reverse("ftpdeploy_log"))
    page.check("#filter-fails")
    page.click(".filters button[type=submit]")
    assert page.locator("#entries tbody tr").count() == Deploy.objects.failed().count()
    page.goto(reverse("ftpdeploy_service_add"))
    for name, value in {
        "host": "ftp.example.com",
        "username": "u",
        "password": "p",
        "repository_slug": "o/new",
    }.items():
        page.fill(f"#id_{name}", value)
    page.click("main form button[type=submit]")
    assert "new" in page.locator("h1").inner_text()
    page.click("text=Edit")
    page.fill("#id_branch", "live")
    page.click("main form button[type=submit]")
    assert "live" in page.locator(".page-head .branch").inner_text()


def test_back_leads_to_the_whole_page_with_its_filter(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_dashboard"))
    page.fill("#filter-text", "harbour")
    until(page, "document.querySelectorAll('.service-row').length === 1")
    page.click(".service-row a:has-text('Manage')")
    page.wait_for_selector("h1:has-text('harbour-bakery')")
    page.go_back()
    page.wait_for_selector("header.topbar")
    expect(page.locator(".service-row")).to_have_count(1, timeout=SOON)
    assert page.input_value("#filter-text") == "harbour"
    page.goto(reverse("ftpdeploy_log"))
    page.fill("#filter-text", "harbour")
    page.wait_for_url(re.compile("text=harbour"))
    assert "text=harbour" in (page.locator("#csv-link").get_attribute("href") or "")


def test_the_search_in_the_files_stays_through_an_update(open_page, running):
    page = open_page()
    page.goto(reverse("ftpdeploy_deploy_detail", args=[running.pk]))
    page.fill("#file-text", "css")
    until(page, "document.querySelectorAll('#files tbody tr').length === 1")
    page.locator("h1").click()
    Deploy.objects.filter(pk=running.pk).update(state="succeeded", phase="finishing", finished_at=timezone.now())
    page.wait_for_selector("#deploy-state .state-good", timeout=SOON)
    assert page.locator("#files tbody tr").count() == 1
    assert page.input_value("#file-text") == "css"


def test_the_focus_returns_where_it_was_after_a_part_was_replaced(open_page, services, monkeypatch):
    monkeypatch.setattr("ftp_deploy.server.views.actions.validate", lambda _service: None)
    page = open_page()
    page.goto(reverse("ftpdeploy_service_manage", args=[services[0].pk]))
    page.focus("#check-status")
    with page.expect_response(re.compile("/check/")):
        page.keyboard.press("Enter")
    until(page, "document.activeElement.id === 'check-status'")
    page.focus("#notification-action")
    page.keyboard.press("Enter")
    until(page, "document.activeElement.id === 'notification-choice'")
    page.select_option("#notification-choice", label="Studio team")
    page.focus("#notification-action")
    page.keyboard.press("Enter")
    until(page, "document.activeElement.matches('a#notification-action')")
    assert "Studio team" in page.locator("#notification").inner_text()


def test_the_keyboard_reaches_everything_in_order(open_page, services):
    page = open_page()
    page.goto(reverse("ftpdeploy_dashboard"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_the_server_knows_the_viewers_zone_from_the_browser(open_page, services):
    page = open_page(zone="Asia/Tokyo")
    url = reverse("ftpdeploy_log")
    page.goto(url)
    assert "JST" in page.request.get(page.url).text()  # as it comes, before any script
    failed = Deploy.objects.filter(state="failed", service=services[4]).latest("pk")
    address = reverse("ftpdeploy_deploy_detail", args=[failed.pk])
    page.goto(address)
    step = page.locator(".steps time").first
    line = page.locator("#log .log-time").first
    assert step.get_attribute("title")
    assert "GMT+9" in (step.get_attribute("title") or "")
    assert step.inner_text() == line.inner_text().strip()


def test_the_theme_is_kept_and_times_are_the_viewers(open_page, services):
    page = open_page("light", zone="Asia/Tokyo")
    page.goto(reverse("ftpdeploy_log"))
    page.click("[data-theme-toggle]")
    page.reload()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"
    title = page.locator("time").first.get_attribute("title")
    assert "GMT+9" in title or "JST" in title
    assert timezone.now() - timedelta(days=400) < Deploy.objects.latest("pk").created_at
