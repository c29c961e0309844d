"""The rooms and who may know whom: the contracts in pyproject.toml hold."""

from importlinter import cli


def test_imports_keep_the_contracts(capsys) -> None:
    assert cli.lint_imports(no_cache=True) == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out
