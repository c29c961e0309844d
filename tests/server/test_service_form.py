"""The tools of the service form in a real browser, against a forge and servers that are really there."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from ftp_deploy.models import Account, Service
from ftp_deploy.providers.cache import conditional_answers
from tests.servers.sshd import OpenSSH

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PATIENCE = 60_000
FILES = {"index.html": b"<h1>Hello</h1>", "css/site.css": b"", "notes/plan.md": b"", "notes/draft.md": b""}


@pytest.fixture(autouse=True)
def _clean():
    from django.core.cache import cache

    cache.clear()
    conditional_answers.clear()


@pytest.fixture
def big_forge(start_forge):
    """A forge with forty repositories; ``museum`` has a second branch."""
    forge = start_forge()
    for number in range(39):
        forge.create_repository(f"client-{number:02}", {"index.html": b""})
    forge.create_repository("museum", FILES, branch="production")
    forge.commit("museum", {"new.html": b""}, branch="staging")
    return forge


@pytest.fixture
def account(big_forge, transactional_db):
    return Account.objects.create(
        name="Studio", provider="github", username=big_forge.username, token=big_forge.token, url=big_forge.url
    )


@pytest.fixture
def form(open_page, account):
    page = open_page()
    page.set_default_timeout(PATIENCE)
    page.goto(reverse("ftpdeploy_service_add"))
    return page


def see(page, selector, text):
    expect(page.locator(selector)).to_contain_text(text, timeout=PATIENCE)


def choose(page, slug: str, typed: str) -> None:
    page.click("#id_repository_name + .ts-wrapper .ts-control")
    page.keyboard.type(typed)
    page.click(f".ts-dropdown [data-value='{slug}']")


def test_the_list_is_searched_and_fills_slug_and_branch(form, big_forge, account):
    expect(form.locator("#id_account")).to_have_value(str(account.pk))  # the only one is taken by itself
    see(form, "#source-state", "40 repositories in this account.")
    form.click("#id_repository_name + .ts-wrapper .ts-control")
    form.keyboard.type("nothing-like-it")
    expect(form.locator(".ts-dropdown .option:visible")).to_have_count(0)
    form.keyboard.press("Escape")
    form.click("#id_repository_name + .ts-wrapper .ts-control")
    form.keyboard.press("Control+A")
    slug = big_forge["museum"].full_name
    form.keyboard.type("muse")
    expect(form.locator(".ts-dropdown .option:visible")).to_have_count(1)
    form.click(f".ts-dropdown [data-value='{slug}']")
    expect(form.locator("#id_repository_slug")).to_have_value(slug)
    expect(form.locator("#id_branch")).to_have_value("production")
    form.click("#id_branch + .ts-wrapper .ts-control")
    form.click(".ts-dropdown [data-value='staging']")
    expect(form.locator("#id_branch")).to_have_value("staging")
    for name, value in {"host": "ftp.example.com", "username": "u", "password": "p"}.items():
        form.fill(f"#id_{name}", value)
    form.click("main button[type=submit]:has-text('Add service')")
    see(form, "h1", "museum")
    service = Service.objects.get()
    assert (service.repository_name, service.repository_slug, service.branch) == ("museum", slug, "staging")
    assert service.account == account


def test_the_edit_form_shows_what_is_chosen_and_takes_another(form, big_forge, account):
    slug = big_forge["museum"].full_name
    service = Service.objects.create(
        repository_name="museum", repository_slug=slug, branch="staging", account=account, host="h", username="u"
    )
    form.goto(reverse("ftpdeploy_service_edit", args=[service.pk]))
    see(form, "#id_repository_name + .ts-wrapper .item", slug)
    see(form, "#id_branch + .ts-wrapper .item", "staging")
    expect(form.locator("#id_branch")).to_have_value("staging")
    choose(form, big_forge["client-07"].full_name, "07")
    expect(form.locator("#id_branch")).to_have_value("main")


def test_a_wait_is_shown_and_a_refusal_is_said(form, open_page):
    held = []
    form.route(re.compile("/source/repositories/"), lambda route: held.append(route))
    form.reload()
    see(form, "#source-state.is-loading", "Loading")
    Account.objects.update(token="wrong")
    held[0].continue_()
    see(form, "#source-state.bad", re.compile("401|refused|token", re.IGNORECASE))
    expect(form.locator("#source-state")).not_to_have_class(re.compile("is-loading"))
    form.fill("#id_repository_name", "typed")  # a list that cannot be had keeps nobody from going on
    form.unroute_all()
    form.route(re.compile("/source/repositories/"), lambda route: route.abort())
    form.reload()
    see(form, "#source-state.bad", "You can type the name")
    open_page.consoles[-1].said.clear()  # the browser itself reports an aborted request


def test_an_account_is_added_and_tried(form, big_forge):
    form.goto(reverse("ftpdeploy_account_add"))
    form.select_option("#id_provider", "github")
    values = {"name": "Second", "username": big_forge.username, "token": "wrong", "url": big_forge.url}
    for name, value in values.items():
        form.fill(f"#id_{name}", value)
    form.click("button:has-text('Save account')")
    row = form.locator("tbody tr", has_text="Second")
    row.get_by_role("button", name="Try").click()
    see(form, ".messages .alert-danger", re.compile("401|refused|token", re.IGNORECASE))
    row.get_by_role("link", name="Edit").click()
    expect(form.locator("#id_token")).to_have_value("")
    form.fill("#id_token", big_forge.token)
    form.click("button:has-text('Save account')")
    row.get_by_role("button", name="Try").click()
    see(form, ".messages .alert-success", "It works: 40 repositories.")


def test_accounts_of_another_source_are_not_offered(form, account):
    gitlab = Account.objects.create(name="Museum", provider="gitlab", token="t", url="https://git.example.com")
    form.reload()
    offered = "#id_account option:not([value=''])"
    assert form.locator(offered).all_inner_texts() == [str(account)]
    form.select_option("#id_provider", "gitlab")
    assert form.locator(offered).all_inner_texts() == [str(gitlab)]
    form.select_option("#id_provider", "git")
    assert form.locator(offered).count() == 0
    expect(form.locator("#source-state")).to_be_hidden()


@pytest.mark.parametrize("protocol", ["ftps", "sftp"])
def test_a_fingerprint_is_shown_and_accepted(form, start_server, protocol):
    if protocol == "sftp":
        server = OpenSSH()
        server.start()
        form.select_option("#id_protocol", "sftp")
        form.fill("#id_private_key", server.user_key.export_private_key().decode())
    else:
        server = start_server("pyftpdlib", "explicit")
        form.select_option("#id_protocol", "ftps")
        form.fill("#id_password", server.password)
    try:
        server.make_folder("www/shop")
        for name, value in {"host": "127.0.0.1", "port": str(server.port), "username": server.username}.items():
            form.fill(f"#id_{name}", value)
        form.fill("#id_path", server.path)
        form.click("button:has-text('Test connection')")
        accept = form.locator("[data-accept-fingerprint]")
        accept.wait_for()
        offered = accept.get_attribute("data-accept-fingerprint") or ""
        assert protocol != "sftp" or offered == server.fingerprint
        accept.click()
        see(form, "#connection-result", "The connection works")
        expect(form.locator("#id_fingerprint")).to_have_value(offered)
        expect(accept).to_have_count(0)
        form.click("button:has-text('Choose a folder')")
        form.click("#folders button:has-text('www')")
        form.click("#folders button:has-text('shop')")
        see(form, "#folders", "No folders in here.")
        form.click("#folders button:has-text('Use')")
        expect(form.locator("#id_path")).to_have_value(f"{server.path.rstrip('/')}/www/shop")
        expect(form.locator("#id_path")).to_be_focused()
    finally:
        if protocol == "sftp":
            server.stop()


def test_a_server_that_refuses_is_said_with_its_reply(form, pyftpd_server):
    values = {"host": "127.0.0.1", "port": str(pyftpd_server.port), "username": "deploy", "password": "wrong"}
    for name, value in values.items():
        form.fill(f"#id_{name}", value)
    form.click("button:has-text('Test connection')")
    see(form, "#connection-result .alert-danger", "530")
    form.click("button:has-text('Choose a folder')")
    see(form, "#folders .alert-danger", "530")


def test_excludes_are_tried_on_the_branch_as_one_types(form, big_forge):
    see(form, "#source-state", "40 repositories")
    choose(form, big_forge["museum"].full_name, "museum")
    form.click("summary:has-text('Sub-directory, excludes')")
    form.fill("#id_excludes", "*.md\n!notes/plan.md")
    see(form, "#exclude-result", "1 of 4 files of the branch is left out.")
    see(form, "#exclude-result", "notes/draft.md")
    form.fill("#id_excludes", "notes/")
    see(form, "#exclude-result", "2 of 4 files of the branch are left out.")
    form.fill("#id_subdirectory", "notes")
    form.fill("#id_excludes", "plan.*")
    see(form, "#exclude-result", "1 of 2 files")
    form.fill("#id_repository_slug", "nobody/nothing")
    form.click("#exclude-preview")
    see(form, "#exclude-result .alert-danger", re.compile("nobody/nothing|not found|no such", re.IGNORECASE))
