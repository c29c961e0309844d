"""The ``ftp-deploy`` command, run as its users run it."""

import tarfile

import pytest

from ftp_deploy.standalone.cli import build_parser

pytestmark = pytest.mark.integration


def test_a_fresh_folder_is_migrated_and_examined(ftp_deploy, folder) -> None:
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
        archive.extractall(tmp_path / "new", filter="data")
    examined = ftp_deploy("doctor", DATA_FOLDER=str(tmp_path / "new"))
    assert "ok     accounts: there is an administrator" in examined.stdout
    assert (tmp_path / "new" / "secret_key").read_text() == (folder / "secret_key").read_text()


def test_a_wrong_setting_is_a_sentence_not_a_traceback(ftp_deploy, tmp_path) -> None:
    refused = ftp_deploy("doctor", SETTINGS_FILE=str(tmp_path / "none"))
    assert refused.returncode == 2
    assert refused.stderr.startswith("ftp-deploy: SETTINGS_FILE names")


def test_every_command_has_a_help_text(capsys) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    for name in ("serve", "web", "worker", "migrate", "setup-link", "doctor", "backup", "manage"):
        assert f"    {name} " in shown
