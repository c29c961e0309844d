"""A hook made on the page of a service, against a forge in a process of its own: it delivers, also under a new name."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ftp_deploy.models import Account, Deploy, Service
from ftp_deploy.providers.cache import conditional_answers
from tests.factories import make_service
from tests.server import sample
from tests.servers.binaries import need
from tests.servers.ports import free_port
from tests.standalone.processes import clean_environment, spawn, until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

USER, TOKEN = "webmaster", "forge-process-token"


@dataclass
class ForgeProcess:
    """The demo's forge, reached as everybody reaches a forge: by its API and by git."""

    url: str
    folder: Path

    def api(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v3/{path}", data, method=method)
        request.add_header("Authorization", f"Bearer {TOKEN}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def answers(self) -> bool:
        try:
            return bool(self.api("GET", "user/repos"))
        except (OSError, urllib.error.HTTPError):
            return False

    def push(self, repository: str, content: str) -> str:
        """Commit and push with git; return the commit's id."""
        copy, address = self.folder / "copy", self.url.replace("://", f"://{USER}:{TOKEN}@")
        if not copy.exists():
            self.git(self.folder, "clone", "-q", f"{address}/{repository}.git", "copy")
        (copy / "index.html").write_text(content)
        self.git(copy, "-c", "user.name=Webmaster", "-c", "user.email=webmaster@example.com", "commit", "-qam", content)
        self.git(copy, "push", "-q", f"{address}/{repository}.git", "HEAD:main")
        return self.git(copy, "rev-parse", "HEAD")

    def git(self, folder: Path, *arguments: str) -> str:
        quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
        command = [need("git", "git"), "-C", str(folder), *arguments]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=120, env={**os.environ, **quiet}
        )
        return done.stdout.strip()


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[ForgeProcess]:
    conditional_answers.clear()
    port = free_port()
    (tmp_path / "forge").mkdir()
    command = [sys.executable, "-m", "ftp_deploy.standalone.demo.forge_server", str(tmp_path / "forge"), str(port)]
    environment = clean_environment(tmp_path, GITHUB_TOKEN=TOKEN)
    process = spawn([*command, USER, ""], environment, tmp_path / "forge.log")
    started = ForgeProcess(f"http://127.0.0.1:{port}", tmp_path)
    try:
        assert until(lambda: process.poll() is not None or started.answers(), 120)
        assert process.poll() is None, (tmp_path / "forge.log").read_text()
        yield started
    finally:
        process.terminate()
        process.wait(30)
        conditional_answers.clear()


def test_it_delivers_and_survives_a_new_name(
    forge: ForgeProcess, client: Client, live_server: Any, settings: Any, published: Any
) -> None:
    settings.FTP_DEPLOY_BASE_URL = live_server.url
    (repository,) = forge.api("GET", "user/repos")
    name = repository["full_name"]
    account = Account.objects.create(name="forge", provider="github", username=USER, token=TOKEN, url=forge.url)
    service = make_service(
        account=account, repository_slug=name, branch=repository["default_branch"], host="127.0.0.1", port=9
    )
    client.force_login(sample.add_admin())

    answer = client.post(reverse("ftpdeploy_service_hook", args=[service.pk]), follow=True)
    assert "The hook is set up." in answer.content.decode()
    (hook,) = forge.api("GET", f"repos/{name}/hooks")
    assert hook["config"]["url"].endswith(service.secret_key)
    assert hook["events"] == ["push"]

    first = forge.push(name, "one")
    assert until(lambda: Deploy.objects.filter(after=first).exists(), 60)

    renamed = forge.api("PATCH", f"repos/{name}", {"name": "renamed"})["full_name"]
    assert renamed != name
    second = forge.push(renamed, "two")
    assert until(lambda: Deploy.objects.filter(after=second).exists(), 60)
    assert list(Deploy.objects.order_by("pk").values_list("after", flat=True)) == [first, second]

    client.post(reverse("ftpdeploy_service_check", args=[service.pk]))
    checked = Service.objects.get(pk=service.pk)
    states = {check["name"]: check["state"] for check in checked.checks}
    assert checked.repository_slug == renamed
    assert (states["repository"], states["branch"], states["hook"]) == ("ok", "ok", "ok")
