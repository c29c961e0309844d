"""The wheel and the sdist hold what they must and nothing else; installed, they run what the pages tell one to type."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.commands import Shell, blocks
from tests.servers.ports import free_ports
from tests.standalone.processes import KEPT, ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]
KINDS = {".py", ".html", ".txt", ".svg", ".css", ".js", ".woff", ".woff2", ".po", ".mo", ".typed", ".md", ""}
"""What a wheel may hold; without a suffix: licences of front-end files and the sample site's .htaccess."""
TUTORIALS = ("README.rst", "docs/tutorial/standalone.rst")


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of what git tracks, and the wheel made from that sdist, as a release makes them."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(source), cwd=folder)
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, folder.glob("*.*z*")), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def test_the_wheel_holds_the_app_and_nothing_else(wheel) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert [name for name in names if not name.startswith("ftp_deploy/")] == []
    assert {Path(name).suffix for name in names} <= KINDS
    for name in ("py.typed", "standalone/demo/site/.htaccess", "standalone/demo/site/index.html"):
        assert f"ftp_deploy/{name}" in names


def test_the_wheel_holds_every_file_of_the_package(wheel) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "ftp_deploy"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in tracked.stdout.splitlines() if (ROOT / name).is_file()} - names == set()


def test_the_sdist_can_be_built_and_read(built) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.rst", "LICENSE", "CHANGELOG.rst", "ftp_deploy/conf.py"} <= names


@pytest.fixture
def shell(tmp_path: Path, wheel: Path) -> Iterator[Shell]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    pip = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RETRIES": "10"}
    pip |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment = {**kept, **pip, "PYTHONUNBUFFERED": "1", "XDG_DATA_HOME": str(tmp_path / "xdg")}
    typed = Shell(tmp_path, environment, wheel)
    yield typed
    typed.stop()


@pytest.mark.parametrize("page", TUTORIALS)
def test_the_stand_alone_commands_work_as_they_stand(shell, page) -> None:
    port = free_ports(1)[0]
    commands = [line for block in blocks(page) for line in block.commands if "requirements/dev.txt" not in line]
    assert any(line.endswith("ftp-deploy serve") for line in commands)
    for command in commands:
        shell.type(f"{command} --port {port}" if command.endswith(" serve") else command)
        if command.endswith(" serve"):
            assert shell.answers(f"http://127.0.0.1:{port}/readyz"), shell.logs()
    assert re.search(r"http\S+/setup/", shell.logs())


def test_the_commands_in_a_project_work_as_they_stand(shell) -> None:
    port = free_ports(1)[0]
    for block in blocks("docs/tutorial/project.rst"):
        if block.language == "python":
            shell.write(block)
        for command in block.commands:
            shell.type(f"{command} {port}" if command.endswith(" runserver") else command)
    assert shell.answers(f"http://127.0.0.1:{port}/ftpdeploy/login/"), shell.logs()
    assert shell.answers(f"http://127.0.0.1:{port}/admin/login/")
