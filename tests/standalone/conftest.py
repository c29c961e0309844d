"""A data folder of its own for each test that runs the ``ftp-deploy`` command, and a receiver of the forge's hooks."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ftp_deploy.standalone.processes import ftp_deploy_command
from tests.standalone.forge_client import Receiver
from tests.standalone.processes import clean_environment

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def ftp_deploy(folder: Path) -> Run:
    """Run ``ftp-deploy`` to its end with nothing in the environment but what the test gives."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ftp_deploy_command(*arguments),
            env=clean_environment(folder, **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()
