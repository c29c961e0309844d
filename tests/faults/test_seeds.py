"""Many faults at once, at random moments, from a seed.

``FTP_DEPLOY_FAULT_SEEDS``: how many seeds the long part runs on each combination (default 50).
``FTP_DEPLOY_FAULT_SEED``: the first of them (default: from the clock, so that each night brings new ones).
"""

import os
import time

import pytest

from tests.faults.chaos import SETTINGS as CHAOS
from tests.faults.chaos import Chaos
from tests.faults.conftest import SETTINGS, OpenStage, setting_named

FIRST = int(os.environ.get("FTP_DEPLOY_FAULT_SEED") or time.time() // 60 % 1_000_000)
COUNT = int(os.environ.get("FTP_DEPLOY_FAULT_SEEDS") or 50)


def run(name: str, seed: int, open_stage: OpenStage, request: pytest.FixtureRequest) -> None:
    stage = open_stage(name, **CHAOS)
    chaos = Chaos(stage, setting_named(name, request), seed)
    try:
        chaos.run()
    finally:
        print(f"seed {seed} on {name}:", *chaos.history, sep="\n  ")  # noqa: T201


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("name", ["postgresql-redis", "sqlite-embedded"])
def test_one_seed(name: str, open_stage: OpenStage, request: pytest.FixtureRequest) -> None:
    run(name, 7, open_stage, request)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
@pytest.mark.parametrize("name", SETTINGS)
def test_many_seeds(name: str, seed: int, open_stage: OpenStage, request: pytest.FixtureRequest) -> None:
    run(name, seed, open_stage, request)
