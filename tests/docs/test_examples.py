"""The examples of the documentation: the unit that systemd reads, the container's file."""

import argparse
import base64
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.standalone.cli import build_parser
from tests.docs.commands import blocks
from tests.servers.binaries import find
from tests.standalone.processes import ROOT

EXAMPLES = ROOT / "docs" / "examples"
UNIT = EXAMPLES / "ftp-deploy.service"


COMMANDS = next(action.choices for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))


def container() -> list[tuple[str, str]]:
    """Return the instructions of the container's file: name and arguments, continued lines joined."""
    text = (EXAMPLES / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, value.strip()) for name, _, value in (line.partition(" ") for line in lines)]


@pytest.mark.integration
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = find("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is missing: install the Debian package systemd")
    command = tmp_path / "ftp-deploy"
    command.symlink_to(sys.executable)
    unit = tmp_path / "ftp-deploy.service"
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(
        re.sub(r"/opt/ftp-deploy/bin/ftp-deploy", str(command), text).replace("=ftp-deploy\n", "=root\n", 1)
    )
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=120, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "ftp-deploy.service" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@pytest.mark.parametrize("where", ["unit", "container"])
def test_the_commands_are_ones_that_we_have(where: str) -> None:
    from ftp_deploy.standalone.cli import build_parser

    if where == "unit":
        found = re.search(r"^ExecStart=\S+/ftp-deploy (.+)$", UNIT.read_text(encoding="utf-8"), flags=re.M)
        assert found
        arguments = found[1].split()
    else:
        program, *arguments = json.loads(dict(container())["CMD"])
        assert program == "ftp-deploy"
    options = build_parser().parse_args(arguments)
    assert options.handler.__name__ == "run_serve"


def test_the_container_s_environment_is_documented_and_its_python_claimed() -> None:
    instructions = dict(container())
    reference = (ROOT / "docs/reference/environment.rst").read_text(encoding="utf-8")
    for part in instructions["ENV"].split():
        assert f"``{part.partition('=')[0]}``" in reference
    found = re.fullmatch(r"python:([\d.]+)-slim", instructions["FROM"])
    assert found
    assert f"Programming Language :: Python :: {found[1]}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.integration
def test_the_container_s_health_check_tells_a_living_site_from_a_dead_one() -> None:
    from tests.servers.http import http_site

    command = json.loads(dict(container())["HEALTHCHECK"].removeprefix("CMD "))
    with http_site() as site:
        port = site.url.rpartition(":")[2]
        alive = [sys.executable, *(part.replace("8000", port) for part in command[1:])]
        assert subprocess.run(alive, capture_output=True, timeout=60, check=False).returncode == 0
        site.answer = lambda _: (503, {}, b"")
        assert subprocess.run(alive, capture_output=True, timeout=60, check=False).returncode != 0
    assert subprocess.run(alive, capture_output=True, timeout=60, check=False).returncode != 0


def example(page: str, words: str) -> str:
    """Return the Python block of a page that holds these words."""
    (found,) = (block.body for block in blocks(page) if block.language == "python" and words in block.body)
    return found


def test_the_receiver_of_the_webhook_page_takes_what_we_sign_and_nothing_else() -> None:
    from ftp_deploy.notifications.webhook import signature

    place: dict[str, Any] = {}
    exec(example("docs/how-to/webhook.rst", "def is_ours"), place)  # noqa: S102 - our own page
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    body, now = b'{"type": "test"}', str(int(time.time()))
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": now,
        "webhook-signature": signature(secret, "msg_1", now, body),
    }
    assert place["is_ours"](headers, body, secret)
    assert not place["is_ours"](headers, body + b" ", secret)
    assert not place["is_ours"]({**headers, "webhook-id": "msg_2"}, body, secret)
    assert not place["is_ours"]({**headers, "webhook-timestamp": "1"}, body, secret)


@pytest.mark.django_db
def test_the_receiver_of_the_signals_page_is_called() -> None:
    from ftp_deploy.signals import deploy_finished
    from tests.factories import make_deploy

    place: dict[str, Any] = {}
    exec(example("docs/reference/signals.rst", "deploy_finished"), place)  # noqa: S102 - our own page
    try:
        answers = dict(deploy_finished.send_robust(sender=None, deploy=make_deploy()))
        assert answers[place["tell_the_bakery"]] is None
    finally:
        deploy_finished.disconnect(place["tell_the_bakery"])


PAGES = sorted((ROOT / "docs").rglob("*.rst"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"``(ftp_deploy(?:\.[A-Za-z_]\w*)+)``", text):
        if not re.fullmatch(r"ftp_deploy\.[EW]\d+", name):
            there(name)
    for name in re.findall(r"``((?:tests|benchmarks|docs)/[\w./-]+)``", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"``(?:manage\.py ftp_deploy|ftp-deploy) ([a-z0-9-]+)", text):
        assert name in COMMANDS, name


def there(name: str) -> None:
    """Import a dotted name, its last part an attribute or a module."""
    try:
        pkgutil.resolve_name(name)
    except AttributeError:
        importlib.import_module(name)
