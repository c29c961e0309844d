"""Behind nginx with TLS, at the root and under a path, with the configuration that the documentation shows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser

from ftp_deploy.standalone.processes import ftp_deploy_command
from tests.servers.certificates import Certificates
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.standalone.processes import clean_environment, spawn, until

pytestmark = [pytest.mark.integration, pytest.mark.slow]
PASSWORD = "a-long-word-7"


@dataclass
class Proxied:
    """A web process behind nginx; ``url`` is its public address, ``session`` a client that trusts its certificate."""

    url: str
    link: str
    session: requests.Session
    proxy: Nginx
    port: int


@pytest.fixture(params=["", "/deploy"], ids=["root", "path"])
def site(request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates, ftp_deploy) -> Iterator[Proxied]:
    (port,) = free_ports(1)
    (tmp_path / "authority.pem").write_text(certificates.authority_pem)
    with Nginx(certificates, port, f"{request.param}/") as proxy:
        settings = {"BASE_URL": proxy.url + request.param}
        assert ftp_deploy("migrate", **settings).returncode == 0
        link = ftp_deploy("setup-link", **settings).stdout.strip()
        command = ftp_deploy_command("web", "--port", str(port))
        output = tmp_path / "output"
        process = spawn(command, clean_environment(tmp_path / "data", **settings), output)
        session = requests.Session()
        session.trust_env = False
        session.verify = str(tmp_path / "authority.pem")
        found = Proxied(settings["BASE_URL"], link, session, proxy, port)
        try:
            assert until(lambda: session.get(f"{found.url}/healthz", timeout=20).status_code == 200), output.read_text()
            yield found
        finally:
            process.terminate()
            process.wait(60)


def make_account(site: Proxied) -> requests.Response:
    page = site.session.get(site.link, timeout=30)
    assert page.status_code == 200
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    form = {"username": "admin", "email": "admin@example.com", "password1": PASSWORD, "password2": PASSWORD}
    form["csrfmiddlewaretoken"] = token[1]
    return site.session.post(site.link, form, headers={"Referer": site.link}, timeout=30)


def test_people_and_forges_find_everything_at_the_public_address(site: Proxied) -> None:
    assert site.link.startswith(f"{site.url}/setup/")
    stranger = site.session.get(f"{site.url}/", timeout=30)
    path = site.url.removeprefix(site.proxy.url)
    assert stranger.url == f"{site.url}/login/?next={path}/"
    assert stranger.headers["Strict-Transport-Security"] == "max-age=3600"
    dashboard = make_account(site)
    assert dashboard.url == f"{site.url}/"
    assert {(cookie.secure, cookie.path) for cookie in site.session.cookies} == {(True, f"{path}/")}
    files = re.findall(r'(?:href|src)="([^"]+\.(?:css|js)[^"]*)"', dashboard.text)
    assert len(files) > 2
    for file in files:
        assert file.startswith(f"{path}/static/")
        assert site.session.get(site.proxy.url + file, timeout=30).status_code == 200
    assert site.session.get(f"{site.url}/admin/", timeout=30).url == f"{site.url}/admin/"
    hook = requests.post(f"{site.url}/deploy/{'x' * 30}", json={}, verify=site.session.verify, timeout=30)
    assert (hook.status_code, hook.headers["Content-Type"]) == (404, "application/json")


def test_what_is_not_from_the_proxy_or_not_over_tls(site: Proxied) -> None:
    plain = requests.get(f"http://localhost:{site.proxy.plain_port}/x", allow_redirects=False, timeout=30)
    assert (plain.status_code, plain.headers["Location"]) == (301, "https://localhost/x")
    elsewhere = site.session.get(f"{site.url}/", headers={"X-Forwarded-Host": "evil.example"}, timeout=30)
    assert elsewhere.url.startswith(site.url)
    strange = requests.get(f"http://127.0.0.1:{site.port}/", headers={"Host": "evil.example"}, timeout=30)
    assert strange.status_code == 400


def test_every_page_works_in_a_browser(site: Proxied, browser: Browser) -> None:
    make_account(site)
    wrong: list[str] = []
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status > 399 else 0)
    page.goto(f"{site.url}/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    links = page.eval_on_selector_all("nav a[href]", "found => found.map(each => each.href)")
    inside = [link for link in dict.fromkeys(links) if "logout" not in link and not link.endswith("#")]
    assert len(inside) >= 3
    for link in [*inside, f"{site.url}/service/add"]:
        assert link.startswith(f"{site.url}/")
        answer = page.goto(link)
        assert answer is not None
        assert answer.status == 200, link
        assert page.url.startswith(f"{site.url}/")
    context.close()
    assert wrong == []
