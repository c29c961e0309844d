"""No file and no function grows beyond what is read at one go, unless its docstring says why."""

import ast
import re
import subprocess
import sys

import pytest

from tests.standalone.processes import ROOT

FILE_LINES, FUNCTION_LINES = 400, 50
MARGIN = 1.25
"""Tests are lists of cases: they are split when they are over by more than this, not for each case that is added."""
REASON = re.compile(r"\bOver (400|50) lines: \w+")
LEFT_OUT = ("ftp_deploy/migrations/",)


def python_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [
        name for name in listed.stdout.split("\0") if name and not name.startswith(LEFT_OUT) and (ROOT / name).is_file()
    ]


def too_long(name: str) -> list[str]:
    """What in a file is longer than allowed and gives no reason."""
    text = (ROOT / name).read_text(encoding="utf-8")
    module = ast.parse(text)
    found = []
    most = FILE_LINES * (MARGIN if name.startswith("tests/") else 1)
    if text.count("\n") > most and not REASON.search(ast.get_docstring(module) or ""):
        found.append(f"{name}: {text.count(chr(10))} lines")
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES and not REASON.search(ast.get_docstring(node) or ""):
                found.append(f"{name}: {node.name} has {lines} lines")
    return found


def test_files_and_functions_stay_short() -> None:
    """In a process of its own: CPython 3.11 may lose count in ``ast.parse`` after much else (a ``SystemError``)."""
    command = [sys.executable, "-m", "tests.test_sizes"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, ""), told.stdout + told.stderr


def test_all_files_are_looked_at() -> None:
    assert len(python_files()) > 300


@pytest.mark.parametrize("docstring", ["Does much.", "Over 50 lines: one table of cases, read from top to bottom."])
def test_the_rule_itself(docstring: str, tmp_path, monkeypatch) -> None:
    body = "\n".join(["    pass"] * 60)
    (tmp_path / "long.py").write_text(f'def long():\n    """{docstring}"""\n{body}\n')
    monkeypatch.setattr("tests.test_sizes.ROOT", tmp_path)
    assert (too_long("long.py") == []) is docstring.startswith("Over")


if __name__ == "__main__":
    for file_name in python_files():
        for too_much in too_long(file_name):
            print(too_much)  # noqa: T201 - read by the test
