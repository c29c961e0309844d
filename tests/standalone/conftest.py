"""A data folder of its own for each test that runs the ``ftp-deploy`` command."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ftp_deploy.standalone.processes import ftp_deploy_command

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]


def clean_environment(folder: Path, **more: str) -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "CI_RUN_MARK") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "DATA_FOLDER": str(folder), **more}


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
