"""``ftp-deploy serve``: both processes, ready, kept alive, stopped in order."""

import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ftp_deploy.standalone.processes import ftp_deploy_command
from tests.servers.ports import free_ports
from tests.standalone.processes import clean_environment, marked, spawn, until

pytestmark = [pytest.mark.integration, pytest.mark.slow]


class Site:
    """One running ``serve``."""

    def __init__(self, folder: Path, mark: str) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.mark = mark
        self.output = folder / "output"
        command = ftp_deploy_command("serve", "--port", str(self.port), "--concurrency", "1")
        environment = clean_environment(folder / "data", DEMO_MARK=mark, FTP_DEPLOY_SWEEP_SECONDS="2")
        self.process = spawn(command, environment, self.output)

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            answer.close()
            return answer.code
        except OSError:
            return 0

    def pids(self, name: str) -> list[int]:
        """The process of the sub-command ``name`` that the supervisor started, without its own children."""
        found = []
        for pid in marked(self.mark):
            with suppress(OSError):
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and f"\0{name}\0" in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path, f"serve-{os.getpid()}-{tmp_path.name}")
    try:
        assert until(lambda: running.status("/readyz") == 200), running.output.read_text()
        yield running
    finally:
        running.process.terminate()
        running.process.wait(90)
        assert until(lambda: not marked(running.mark), 30)


def test_it_becomes_ready_and_its_link_makes_an_account(site) -> None:
    link = re.search(r"http\S+/setup/\S+", site.output.read_text())
    assert link
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    page = browser.open(link[0], timeout=20)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    assert token
    form = {
        "username": "webmaster",
        "email": "a@example.com",
        "password1": "a-long-word-7",
        "password2": "a-long-word-7",
    }
    done = browser.open(link[0], urlencode({**form, "csrfmiddlewaretoken": token[1]}).encode(), timeout=20)
    assert done.url == site.url + "/"
    assert browser.open(site.url + "/admin/", timeout=20).status == 200
    assert site.status(link[0].removeprefix(site.url)) == 404
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', done.read().decode()):
        assert site.status(path) == 200, path


def test_what_is_printed_is_for_people(site) -> None:
    assert until(lambda: "ready." in site.output.read_text(errors="replace"), 60)
    shown = site.output.read_text(errors="replace")
    assert shown.startswith("Data folder: ")
    assert "Bringing the database up to this version" in shown
    assert f"web: http://127.0.0.1:{site.port}/" in shown
    for noise in ("[config]", "Warning", "Traceback", "files://", "AXES"):
        assert noise not in shown


def test_strangers_see_the_login_and_nothing_else(site) -> None:
    with urllib.request.urlopen(site.url + "/", timeout=20) as page:
        assert "/login/" in page.url
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "Server" not in page.headers
    assert site.status("/metrics") == 403
    assert site.status("/deploy/" + "x" * 30) == 405
    with urllib.request.urlopen(site.url + "/healthz", timeout=20) as answer:
        assert json.load(answer) == {"status": "ok"}


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_process_that_dies_is_started_again(site, name) -> None:
    first = site.pids(name)[0]
    os.kill(first, signal.SIGKILL)
    assert until(lambda: first not in site.pids(name) and site.pids(name) != [])
    assert until(lambda: site.status("/readyz") == 200)
    assert f"{name} ended" in site.output.read_text()


def test_killing_it_leaves_no_process(site) -> None:
    site.process.kill()
    site.process.wait()
    assert until(lambda: not marked(site.mark), 60)
