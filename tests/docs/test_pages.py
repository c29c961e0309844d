"""What README and documentation name is there."""

import re

import pytest

from tests.docs.commands import blocks
from tests.standalone.processes import ROOT

PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.rst") if "_build" not in path.parts)
TASK = re.compile(r"``fab (\w+)")


def test_the_readme_s_first_screen_holds_the_two_commands() -> None:
    screen = (ROOT / "README.rst").read_text(encoding="utf-8").splitlines()[:25]
    commands = [line.strip() for line in screen if line.strip().startswith("$ ")]
    install = "$ python3 -m venv .venv && .venv/bin/pip install -r requirements/dev.txt && .venv/bin/fab"
    assert commands == [f"{install} demo", f"{install} test"]


@pytest.mark.parametrize("page", ["README.rst", "CONTRIBUTING.rst", *PAGES])
def test_every_task_that_a_page_names_exists(page) -> None:
    tasks = (ROOT / "fabfile.py").read_text(encoding="utf-8")
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {*TASK.findall(text), *re.findall(r"bin/fab (\w+)", text)}
    assert {name for name in named if f"def {name}(" not in tasks} == set()


def test_every_block_of_a_tutorial_is_read() -> None:
    for page in ("docs/tutorial/standalone.rst", "docs/tutorial/project.rst"):
        marked = (ROOT / page).read_text(encoding="utf-8").count(".. code-block::")
        assert len(blocks(page)) == marked


def test_every_setting_of_the_environment_is_documented() -> None:
    text = (ROOT / "docs/reference/environment.rst").read_text(encoding="utf-8")
    source = (ROOT / "ftp_deploy/standalone/settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r'env\.\w+\(\s*"(\w+)"', source))
    assert len(names) > 10
    assert {name for name in names if name not in text} == set()


def test_no_page_is_out_of_reach() -> None:
    index = (ROOT / "docs/index.rst").read_text(encoding="utf-8")
    missing = {page for page in PAGES if page != "docs/index.rst" and page[5:-4] not in index}
    assert missing == set()
