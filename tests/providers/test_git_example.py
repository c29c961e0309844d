"""The example script of the documentation, run as it stands there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ftp_deploy.providers.base import Account, WebhookRequest
from ftp_deploy.providers.git import Git
from tests.providers.scripted_forge import ScriptedForge
from tests.providers.webhook_contract import NEW, OLD

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "forges.rst"

pytestmark = pytest.mark.integration


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_post_receive_hook_is_signed_as_we_check_it(tmp_path: Path) -> None:
    found = re.search(r"( +)#!/bin/sh.*?\n\1done\n", PAGE.read_text(), re.DOTALL)
    assert found
    script = "\n".join(line.removeprefix(found[1]) for line in found[0].splitlines())
    with ScriptedForge() as site:
        site.reply({"detail": "stored"}, 202)
        script = script.replace("https://deploy.example.com/deploy/KEY", f"{site.url}/deploy/KEY")
        path = tmp_path / "post-receive"
        path.write_text(script)
        subprocess.run(
            ["sh", str(path)], input=f"{OLD} {NEW} refs/heads/main\n", text=True, check=True, timeout=60,
            capture_output=True,
        )  # fmt: skip
        (seen,) = site.seen
    body = json.dumps(seen.body).encode()
    provider = Git(Account())
    provider.verify(WebhookRequest(seen.headers, body), "HOOK-SECRET")
    (push,) = provider.parse(WebhookRequest(seen.headers, body)).pushes
    assert (push.branch, push.before, push.after) == ("main", OLD, NEW)
