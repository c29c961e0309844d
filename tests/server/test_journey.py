"""The user's whole way, in a real browser, against the demo's processes: forge, FTP server, web and worker."""

import re
from collections.abc import Iterator
from io import BytesIO

import pytest
from dulwich import porcelain
from dulwich.repo import Repo
from playwright.sync_api import Page, expect

from ftp_deploy.standalone.demo.stage import REPOSITORY
from tests.server.conftest import Console
from tests.server.journey_stage import SITE_PATH, USER, JourneyStage, until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PATIENCE = 60_000
"""Milliseconds in which a page has to show what happened; machines are slow at times."""
PASSWORD = "a-long-pass-phrase"
WATCH = """() => { window.seen = [];
  setInterval(() => { const bar = document.querySelector('.run-panel progress');
    if (bar) window.seen.push([bar.value, document.querySelector('[data-bind=files_done]')?.textContent]); }, 50); }"""


@pytest.fixture
def stage(tmp_path) -> Iterator[JourneyStage]:
    with JourneyStage(tmp_path / "stage", ftp_speed=80_000) as built:
        built.run("migrate")
        built.start_servers()
        built.start_app()
        yield built


@pytest.fixture
def page(browser, stage) -> Iterator[Page]:
    context = browser.new_context(
        base_url=stage.url("web"), locale="en-GB", timezone_id="Europe/Warsaw", viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    console = Console(page)
    yield page
    context.close()
    assert console.said == []


class Journey:
    """One person's way through the dashboard."""

    def __init__(self, page: Page, stage: JourneyStage) -> None:
        self.page = page
        self.stage = stage
        self.clone = stage.clone()
        landing = f"{stage.branch}:refs/heads/landing"
        porcelain.push(str(stage.work), stage.remote, landing, outstream=BytesIO(), errstream=BytesIO())
        self.manage = ""
        self.other = ""
        self.plain = page

    def see(self, selector: str, text: str | re.Pattern[str]) -> None:
        """Wait until a part of the page holds a text, without a reload by the test."""
        expect(self.page.locator(selector)).to_contain_text(text, timeout=PATIENCE)

    def make_the_first_account_and_log_in(self) -> None:
        page = self.page
        page.goto(self.stage.run("setup-link", "--port", str(self.stage.ports["web"])))
        page.fill("#id_username", "operator")
        page.fill("#id_email", "operator@example.com")
        page.fill("#id_password1", PASSWORD)
        page.fill("#id_password2", PASSWORD)
        page.click("button[type=submit]")
        self.see("main", "From nothing to the first deploy")
        page.click("details.menu summary")
        page.click("text=Log out")
        page.fill("#id_username", "operator")
        page.fill("#id_password", PASSWORD)
        page.click("button[type=submit]")
        self.see("main", "From nothing to the first deploy")

    def add_the_service(self) -> None:
        """Fill the form with the help of its tools: test, folders, the forge's list, branches."""
        page, stage = self.page, self.stage
        page.click(".first-steps a:has-text('Add service')")
        page.fill("#id_host", "127.0.0.1")
        page.fill("#id_port", str(stage.ports["ftp"]))
        page.fill("#id_username", USER)
        page.fill("#id_password", "not-" + stage.ftp_password)
        page.click("button:has-text('Test connection')")
        self.see("#connection-result", "530")
        page.fill("#id_password", stage.ftp_password)
        page.click("button:has-text('Test connection')")
        self.see("#connection-result", "The connection works")
        page.click("button:has-text('Choose a folder')")
        page.click(f"#folders button:has-text('{SITE_PATH.strip('/')}')")
        page.click(f"#folders button:has-text('Use {SITE_PATH}')")
        expect(page.locator("#id_path")).to_have_value(SITE_PATH)
        self.see("#source-state", "1 repositor")
        page.click("#id_repository_name + .ts-wrapper .ts-control")
        page.keyboard.type("si")
        page.click(f".ts-dropdown [data-value='{REPOSITORY}']")
        expect(page.locator("#id_repository_slug")).to_have_value(REPOSITORY)
        expect(page.locator("#id_branch")).to_have_value(stage.branch)
        page.click("main button[type=submit]:has-text('Add service')")
        self.see("h1", "site")
        self.manage = page.url

    def add_the_hook(self) -> None:
        """The first check finds the hook missing; one click adds it."""
        self.see("#status-card", "Failing")
        self.see("#status-card", "Hook")
        self.page.click("#figures button:has-text('Add hook')")
        self.see(".messages", "Pushes now reach this service")
        self.see("#figures", "active")
        self.see("#status-card", "OK")

    def push(self, message: str, **files: bytes | None) -> str:
        return self.clone.push({f"{name}.html": content for name, content in files.items()}, message)

    def watch_a_push_go_live(self) -> str:
        """Push enough files for a while, and watch the bar from the service's page."""
        page = self.page
        page.goto(self.manage)
        page.evaluate(WATCH)
        films: dict[str, bytes | None] = {f"archive/film-{n}.bin": b"%07d\n" % n * 62_500 for n in range(48)}
        commit = self.clone.push(films, "Add the archive")
        page.wait_for_selector(".run-panel")
        self.see("#recent tbody tr:first-child", "Success")
        expect(page.locator(".run-panel")).to_have_count(0, timeout=PATIENCE)
        seen = page.evaluate("window.seen")
        assert len({value for value, _files in seen}) >= 2, seen
        assert [value for value, _files in seen] == sorted(value for value, _files in seen)
        assert not self.stage.difference(commit)
        return commit

    def add_another_service_without_scripts(self) -> None:
        """Type everything, add the hook, deploy: with JavaScript off."""
        stage = self.stage
        (stage.server_root / "landing").mkdir()
        plain = self.page.context.browser.new_context(
            base_url=stage.url("web"), java_script_enabled=False, storage_state=self.page.context.storage_state()
        )
        page = plain.new_page()
        page.goto("/service/add/")
        values = {"host": "127.0.0.1", "port": str(stage.ports["ftp"]), "username": USER, "path": "/landing"}
        values |= {"password": stage.ftp_password, "repository_slug": REPOSITORY, "branch": "landing"}
        for name, value in values.items():
            page.fill(f"#id_{name}", value)
        page.click("main button[type=submit]:has-text('Add service')")
        page.click("#figures button:has-text('Add hook')")
        self.other = page.url
        page.click("button:has-text('Deploy now')")
        self.wait_for_the_other(page, 1)
        self.plain = page

    def wait_for_the_other(self, page: Page, deploys: int) -> None:
        """Load a page without scripts again until so many deploys went live."""

        def live() -> bool:
            page.goto(self.other)
            return page.locator("#recent .state-good").count() == deploys

        until(live, "the other service deploys")

    def break_the_password(self) -> None:
        """Two pushes fail; the service is on top of the dashboard, above one that deployed later."""
        good = self.stage.ftp_password
        self.stage.change_ftp_password("changed-behind-our-back")
        self.page.goto(self.manage)
        for name in ("first", "second"):
            self.push(f"Add the {name} page", **{name: name.encode()})
            self.see("#restore tbody tr:last-child", f"Add the {name} page")
        self.see("#restore tbody tr:last-child", "530")
        self.stage.change_ftp_password(good)
        self.plain.click("button:has-text('Deploy now')")
        self.wait_for_the_other(self.plain, 2)
        self.stage.change_ftp_password("changed-for-good")

    def see_the_failure_on_top(self) -> None:
        page = self.page
        page.goto("/")
        rows = page.locator(".service-row")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_have_class(re.compile("is-failing"))
        expect(rows.nth(1)).not_to_have_class(re.compile("is-failing"))
        rows.nth(0).locator(".service-last a").click()
        self.see("#deploy-error", "530")
        self.see("#deploy-error", "What to try")
        page.click(".crumbs a:last-child")
        assert page.url == self.manage

    def skip_one_and_restore_the_rest(self) -> None:
        page, stage = self.page, self.stage
        page.click("#service-actions a:has-text('Edit')")
        page.fill("#id_password", stage.ftp_password)
        page.click("main button[type=submit]:has-text('Save service')")
        page.click("#restore tbody tr:first-child a:has-text('Skip')")
        self.see("dialog", "differ")
        page.click("dialog button:has-text('Skip')")
        expect(page.locator("#restore tbody tr")).to_have_count(1)
        page.click("#restore header a:has-text('Restore deploys')")
        self.see("dialog", "1 commit")
        self.see("dialog section:has-text('New files')", "second.html")
        self.see("dialog section:has-text('Left out')", "first.html")
        page.click("dialog button:has-text('Restore')")
        self.see("#recent tbody tr:first-child", "Success")
        expect(page.locator("#restore section")).to_have_count(0)
        self.see("#recent", "Restored")
        difference = stage.difference(self.clone_head())
        assert (difference.missing, difference.surplus, difference.different) == (("first.html",), (), ())

    def clone_head(self) -> str:
        with Repo(str(self.stage.work)) as repository:
            return repository.head().decode()

    def roll_back(self, commit: str) -> None:
        """From the page of the deploy that put the archive live; nothing but its tree is left on the server."""
        page = self.page
        page.locator("#recent tbody tr", has_text="Add the archive").locator(".badge-cell a").click()
        page.click("#deploy-actions a:has-text('Roll back to this')")
        self.see("dialog section:has-text('Removed files')", "second.html")
        page.click("dialog button:has-text('Roll back')")
        page.wait_for_url(self.manage)
        self.see("#recent tbody tr:first-child", "Success")
        assert not self.stage.difference(commit)

    def change_the_notification(self) -> None:
        """Make a set, choose it by the cog, and be told of the next push."""
        page = self.page
        page.click("nav a:has-text('Notifications')")
        page.click("a:has-text('Add notification')")
        page.fill("#id_name", "Web team")
        page.fill("#id_addresses-0-email", "team@example.com")
        page.fill("#id_addresses-1-email", "alarm@example.com")
        page.uncheck("#id_addresses-1-on_success")
        page.click("button:has-text('Add a row')")
        page.keyboard.type("late@example.com")
        page.click("button:has-text('Save notification')")
        self.see("tbody tr", "team@example.com")
        self.see("tbody tr", "late@example.com")
        page.click("button:has-text('Send a test')")
        self.see(".messages", "alarm@example.com")
        page.goto(self.manage)
        page.click("[aria-label='Change the notification']")
        page.select_option("#notification-choice", label="Web team")
        page.click("#notification button:has-text('Save')")
        self.see("#notification", "Web team")
        assert page.url == self.manage
        commit = self.push("Add the last page", last=b"last")
        told = {"team@example.com", "late@example.com"}
        until(lambda: told <= self.people_told(), "both are sent a mail")
        assert self.people_told() == told  # not who wants to know of failures alone
        assert not self.stage.difference(commit)

    def people_told(self) -> set[str]:
        """Return who was sent a mail by the worker; the test's mails are sent by the web process."""
        return set(re.findall(r"^To: (.*)$", self.stage.mails(), re.MULTILINE))

    def read_the_log(self) -> None:
        page = self.page
        page.click("nav a:has-text('Log')")
        expect(page.locator("#entries tbody tr")).to_have_count(8)
        page.check("#filter-fails")
        self.see("#entries", "Nothing fits")
        page.uncheck("#filter-fails")
        expect(page.locator("#entries tbody tr")).to_have_count(8)
        page.fill("#filter-user", "operator")
        expect(page.locator("#entries tbody tr")).to_have_count(4)
        with page.expect_download() as download:
            page.click("a:has-text('Export CSV')")
        assert download.value.path().read_text(encoding="utf-8").count("landing") == 2
        page.click("a:has-text('Audit')")
        for action in ("Add service", "Add hook", "Skip", "Restore", "Roll back", "Change the notification"):
            self.see("#entries", action)


def walk(person: Journey) -> None:
    """Go the whole way, step by step."""
    person.make_the_first_account_and_log_in()
    person.add_the_service()
    person.add_the_hook()
    archive = person.watch_a_push_go_live()
    person.add_another_service_without_scripts()
    person.break_the_password()
    person.see_the_failure_on_top()
    person.skip_one_and_restore_the_rest()
    person.roll_back(archive)
    person.change_the_notification()
    person.read_the_log()


def test_the_whole_way(page, stage):
    walk(Journey(page, stage))
