"""The examples of the documentation: the unit that systemd reads, the container's file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.binaries import find
from tests.standalone.processes import ROOT

EXAMPLES = ROOT / "docs" / "examples"
UNIT = EXAMPLES / "ftp-deploy.service"


def container() -> list[tuple[str, str]]:
    """Return the instructions of the container's file: name and arguments, continued lines joined."""
    text = (EXAMPLES / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [(name, value.strip()) for name, _, value in (line.partition(" ") for line in text.splitlines()) if name]


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
