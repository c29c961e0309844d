"""The wheel and the sdist hold what they must and nothing else; installed, they run what the pages tell one to type."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

import fabfile
from ftp_deploy.standalone.forge import Forge
from tests.docs.commands import Shell, blocks
from tests.docs.test_examples import container
from tests.servers.base import FTPServer
from tests.servers.forge import SITE
from tests.servers.ports import free_ports
from tests.standalone.processes import KEPT, ROOT, until

pytestmark = [pytest.mark.integration, pytest.mark.slow]
UPGRADE = "docs/how-to/upgrade.rst"
STARTS = "docs/tutorial/standalone.rst"


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks, as it stands in the working tree."""
    source = tmp_path_factory.mktemp("source")
    for name in fabfile.tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    return source


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel made from that sdist, as a release makes them."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(source), cwd=folder)
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, folder.glob("*.*z*")), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def next_wheel(source: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package under a later version."""
    folder = tmp_path_factory.mktemp("next")
    metadata = source / "pyproject.toml"
    text = metadata.read_text(encoding="utf-8")
    metadata.write_text(re.sub(r'^version = ".*"', 'version = "99.0.0"', text, flags=re.M), encoding="utf-8")
    try:
        run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source), cwd=folder)
    finally:
        metadata.write_text(text, encoding="utf-8")
    return next(folder.glob("*.whl"))


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_the_packages_hold_the_app_and_nothing_else(built: Path, pattern: str) -> None:
    (archive,) = built.glob(pattern)
    assert fabfile.wrong_files(archive, fabfile.tracked_files()) == []


def test_the_wheel_holds_templates_static_files_and_translations(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "py.typed",
        "templates/ftp_deploy/email/email_success.html",
        "locale/pl/LC_MESSAGES/django.mo",
        "server/static/ftp_deploy/css/app.css",
        "standalone/demo/site/.htaccess",
    ):
        assert f"ftp_deploy/{name}" in names


def test_a_file_too_many_or_too_few_is_seen(wheel: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.whl"
    with zipfile.ZipFile(odd, "w") as archive:
        archive.writestr("ftp_deploy/a.py", "")
        archive.writestr("tests/b.py", "")
    assert fabfile.wrong_files(odd, {"ftp_deploy/a.py", "ftp_deploy/c.html", "README.rst"}) == [
        "odd.whl: ftp_deploy/c.html is missing",
        "odd.whl: tests/b.py does not belong there",
    ]


@pytest.fixture
def shell(tmp_path: Path, wheel: Path) -> Iterator[Shell]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    pip = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RETRIES": "10"}
    pip |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment = {**kept, **pip, "PYTHONUNBUFFERED": "1", "XDG_DATA_HOME": str(tmp_path / "xdg")}
    typed = Shell(tmp_path, environment, wheel)
    yield typed
    typed.stop()


def commands_of(page: str) -> list[str]:
    return [line for block in blocks(page) for line in block.commands if "requirements/dev.txt" not in line]


def start(shell: Shell, page: str) -> int:
    """Type a page's commands; return the port of the site that they started, once it is ready."""
    (port,) = free_ports(1)
    commands = commands_of(page)
    assert any(line.endswith("ftp-deploy serve") for line in commands)
    for command in commands:
        shell.type(f"{command} --port {port}" if command.endswith(" serve") else command)
        if command.endswith(" serve"):
            assert shell.answers(f"http://127.0.0.1:{port}/readyz"), shell.logs()
    return port


def test_the_readme_s_commands_work_as_they_stand(shell: Shell) -> None:
    start(shell, "README.rst")
    assert re.search(r"http\S+/setup/", shell.logs())


def test_the_stand_alone_tutorial_works_as_it_stands_and_is_upgraded(shell: Shell, next_wheel: Path) -> None:
    port = start(shell, STARTS)
    assert re.search(r"http\S+/setup/", shell.logs())
    shell.stop()
    shell.wheel = next_wheel
    (upgrade,) = (block.commands for block in blocks(UPGRADE) if "--upgrade" in block.body)
    for command in upgrade:
        shell.type(f"{command} --port {port}" if command.endswith(" serve") else command)
    assert shell.answers(f"http://127.0.0.1:{port}/readyz"), shell.logs()
    shell.type("ftp-deploy/bin/pip show django-ftp-deploy | grep '^Version: 99.0.0$'")
    assert (shell.folder / "before-upgrade.tar.gz").stat().st_size > 1000


def test_the_container_s_instructions_work_by_hand(shell: Shell) -> None:
    """What can be had without a container: its pip line, its command, its health check, its signal."""
    instructions = dict(container())
    (install,) = (part.strip() for part in instructions["RUN"].split("&&") if part.strip().startswith("pip install"))
    shell.type("python3 -m venv image")
    shell.type(f"image/bin/{install}")
    (port,) = free_ports(1)
    settings = dict(part.split("=", 1) for part in instructions["ENV"].split())
    shell.environment |= settings | {"DATA_FOLDER": str(shell.folder / "data")}
    program, *arguments = json.loads(instructions["CMD"])
    shell.type(shlex.join([f"image/bin/{program}", *arguments, "--port", str(port)]))
    assert shell.answers(f"http://127.0.0.1:{port}/readyz"), shell.logs()
    check = json.loads(instructions["HEALTHCHECK"].removeprefix("CMD "))
    shell.type(shlex.join(["image/bin/" + check[0], *(part.replace("8000", str(port)) for part in check[1:])]))
    assert re.search(rf"http://127.0.0.1:{port}/setup/", shell.logs())
    assert (shell.folder / "data").stat().st_mode & 0o077 == 0
    (server,) = shell.servers
    server.send_signal(getattr(signal, instructions["STOPSIGNAL"]))
    assert server.wait(90) == 0, shell.logs()


ADMIN_ONLY = """
from mysite.settings import *
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "ftp_deploy.server" and not app.startswith("crispy")]
ROOT_URLCONF = "mysite.admin_urls"
DEPLOY_GITHUB_SETTINGS = {{"username": "{forge.username}", "password": "{forge.token}", "url": "{forge.url}"}}
FTP_DEPLOY_BASE_URL = "http://127.0.0.1:{port}"
FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES = True
FTP_DEPLOY_BROKER_DIRECTORY = str(BASE_DIR / "broker")
"""
ADMIN_URLS = """
from django.contrib import admin
from django.urls import include, path
urlpatterns = [path("admin/", admin.site.urls), path("ftpdeploy/", include("ftp_deploy.urls"))]
"""
PASSWORD = "a-long-word-7"


def test_the_commands_in_a_project_work_as_they_stand_and_the_admin_alone_does_the_job(
    shell: Shell, forge: Forge, pyftpd_server: FTPServer, browser: Browser
) -> None:
    (port,) = free_ports(1)
    for block in blocks("docs/tutorial/project.rst"):
        if block.language == "python":
            shell.write(block)
        for command in block.commands:
            shell.type(f"{command} {port}" if command.endswith(" runserver") else command)
    assert shell.answers(f"http://127.0.0.1:{port}/ftpdeploy/login/"), shell.logs()
    assert shell.answers(f"http://127.0.0.1:{port}/admin/login/")
    shell.stop()
    without_the_dashboard(shell, forge, port)
    assert shell.answers(f"http://127.0.0.1:{port}/admin/login/"), shell.logs()
    with closing(browser.new_context()) as context:
        the_main_job(context.new_page(), f"http://127.0.0.1:{port}/admin", forge, pyftpd_server)
    forge.commit("site", {"late.html": b"late"})
    assert until(lambda: "late.html" in pyftpd_server.files()), shell.logs()


def without_the_dashboard(shell: Shell, forge: Forge, port: int) -> None:
    """Start the project of the tutorial again, with the core alone."""
    package = shell.folder / "mysite"
    (package / "admin_only.py").write_text(ADMIN_ONLY.format(forge=forge, port=port))
    (package / "admin_urls.py").write_text(ADMIN_URLS)
    shell.environment |= {"DJANGO_SETTINGS_MODULE": "mysite.admin_only", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    shell.type("../env/bin/python manage.py check")
    shell.type("../env/bin/python manage.py createsuperuser --noinput --username chief --email chief@example.com")
    shell.type(f"../env/bin/python manage.py runserver --noreload {port}")
    shell.type("../env/bin/celery -A ftp_deploy worker -B")


def the_main_job(page: Page, admin: str, forge: Forge, server: FTPServer) -> None:
    """In the admin: log in, add a service, deploy it, add its hook."""
    target = server.target()
    page.goto(f"{admin}/ftp_deploy/service/add/")
    page.fill("#id_username", "chief")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#id_repository_slug")
    page.select_option("#id_protocol", "ftp")
    page.select_option("#id_provider", "github")
    values = {
        "host": target.host, "port": str(target.port), "username": target.username, "password": target.password,
        "path": target.path, "repository_name": "site", "repository_slug": f"{forge.username}/site",
        "branch": "main",
    }  # fmt: skip
    for name, value in values.items():
        page.fill(f"#id_{name}", value)
    page.click("input[name=_save]")
    for action in ("deploy_now", "add_hook"):
        page.check("input[name=_selected_action]")
        page.select_option("select[name=action]", action)
        with page.expect_navigation():
            page.click("button[name=index]")
        assert page.locator(".messagelist .success").count() == 1, page.content()

    def succeeded() -> bool:
        page.goto(f"{admin}/ftp_deploy/deploy/")
        return page.locator("#result_list tbody tr").count() == 1 and "succeeded" in page.content().lower()

    assert until(succeeded), page.content()[-3000:]
    assert {path: server.read(path) for path in server.files()} == SITE
