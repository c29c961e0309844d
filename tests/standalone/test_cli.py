"""The ``ftp-deploy`` command, run as its users run it."""

import argparse
import socket
import tarfile

import pytest

from ftp_deploy import __version__
from ftp_deploy.management.commands.ftp_deploy import Command as ManagementCommand
from ftp_deploy.standalone.cli import SERVICE_COMMANDS, build_parser, main
from tests.servers.ports import free_port

pytestmark = pytest.mark.integration


def test_a_fresh_folder_is_migrated_and_examined(ftp_deploy, folder) -> None:
    assert ftp_deploy("migrate").stdout.splitlines() == [
        "Bringing the database up to this version ...",
        "The database is up to date.",
    ]
    assert ftp_deploy("migrate").stdout == "The database is up to date.\n"
    assert (folder / "database.sqlite3").exists()
    examined = ftp_deploy("doctor", BASE_URL="https://deploy.example.com")
    assert examined.returncode == 1
    assert "ok     database: sqlite, up to date" in examined.stdout
    assert "WRONG  accounts: nobody can log in" in examined.stdout
    assert "WRONG  worker: no sweep has run yet" in examined.stdout
    assert "ok     address: https://deploy.example.com" in examined.stdout


def test_sqlite_waits_for_locks_and_keeps_every_commit(ftp_deploy) -> None:
    script = (
        "from django.db import connection as c; c.ensure_connection(); cursor = c.cursor(); print(c.transaction_mode, "
        "*[cursor.execute('PRAGMA ' + name).fetchone()[0] for name in ('journal_mode', 'synchronous', 'busy_timeout')])"
    )
    shown = ftp_deploy("manage", "shell", "-v0", "-c", script)
    assert shown.stdout.strip() == "IMMEDIATE wal 2 20000", shown.stderr


def test_the_setup_link_is_printed_until_there_is_an_account(ftp_deploy) -> None:
    ftp_deploy("migrate")
    assert ftp_deploy("setup-link", "--port", "8123").stdout.startswith("http://127.0.0.1:8123/setup/")
    variables = {"DJANGO_SUPERUSER_PASSWORD": "x"}
    made = ftp_deploy("manage", "createsuperuser", "--noinput", "--username=a", "--email=a@example.com", **variables)
    assert made.returncode == 0, made.stderr
    assert ftp_deploy("setup-link").returncode == 1


def test_a_backup_goes_on_in_another_folder(ftp_deploy, folder, tmp_path) -> None:
    ftp_deploy("migrate")
    variables = {"DJANGO_SUPERUSER_PASSWORD": "x"}
    ftp_deploy("manage", "createsuperuser", "--noinput", "--username=a", "--email=a@example.com", **variables)
    made = ftp_deploy("backup", str(tmp_path / "b.tar.gz"))
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        careful = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4
        archive.extractall(tmp_path / "new", **careful)  # noqa: S202
    examined = ftp_deploy("doctor", DATA_FOLDER=str(tmp_path / "new"))
    assert "ok     accounts: there is an administrator" in examined.stdout
    assert (tmp_path / "new" / "secret_key").read_text() == (folder / "secret_key").read_text()


def test_a_wrong_setting_is_a_sentence_not_a_traceback(ftp_deploy, tmp_path) -> None:
    refused = ftp_deploy("doctor", SETTINGS_FILE=str(tmp_path / "none"))
    assert refused.returncode == 2
    assert refused.stderr.startswith("ftp-deploy: SETTINGS_FILE names")


def test_a_taken_port_is_a_sentence_before_anything_is_made(ftp_deploy, folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for name in ("serve", "web"):
            refused = ftp_deploy(name, "--port", port)
            assert refused.returncode == 2
            assert f"ftp-deploy: Cannot listen on 127.0.0.1 port {port}" in refused.stderr
            assert "choose another port with --port" in refused.stderr
            assert "Traceback" not in refused.stderr
    assert not (folder / "database.sqlite3").exists()


def test_a_database_that_is_down_is_a_sentence(ftp_deploy) -> None:
    down = {"DATABASE_URL": "postgres://u:canary@127.0.0.1:1/x"}
    for arguments in (("serve", "--port", str(free_port())), ("migrate",), ("check",)):
        refused = ftp_deploy(*arguments, **down)
        assert refused.returncode == 2
        assert "ftp-deploy: The database: connection failed" in refused.stderr
        assert "Run `ftp-deploy doctor`" in refused.stderr
    examined = ftp_deploy("doctor", **down)
    assert examined.returncode == 1
    assert "Connection refused\n       -> Start the database server" in examined.stdout
    assert "look   services: cannot tell: see to the database first" in examined.stdout
    assert "canary" not in examined.stdout + examined.stderr + refused.stderr


def test_the_app_s_own_commands_are_commands(ftp_deploy) -> None:
    ftp_deploy("migrate")
    checked = ftp_deploy("check")
    assert checked.returncode == 0
    assert "0 services checked" in checked.stdout
    shown = ftp_deploy("deploy", "--help")
    assert shown.stdout.startswith("usage: ftp-deploy deploy [-h] [--full]")
    refused = ftp_deploy("deploy", "none", "--dry-run")
    assert refused.returncode == 2
    assert "There is no service 'none'" in refused.stderr


def test_they_are_all_there_with_the_same_words() -> None:
    parser = ManagementCommand().create_parser("manage.py", "ftp_deploy")
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    assert {choice.dest: choice.help for choice in found._choices_actions} == SERVICE_COMMANDS


def test_the_version_and_the_bare_command(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"django-ftp-deploy {__version__}\n"
    assert main([]) == 2
    assert "run web server and worker together" in capsys.readouterr().err


def test_every_command_has_a_help_text(capsys) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    for name in ("serve", "web", "worker", "migrate", "setup-link", "doctor", "backup", "manage", "deploy", "verify"):
        assert f"    {name} " in shown
