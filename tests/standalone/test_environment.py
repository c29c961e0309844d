"""What the stand-alone mode reads from outside."""

import os
import stat
from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from ftp_deploy.standalone.environment import app_settings, data_folder, read_settings_file, stored_secret_key


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> environ.Env:
    fresh: dict[str, str] = {}
    monkeypatch.setattr(environ.Env, "ENVIRON", fresh)
    return environ.Env()


def test_the_data_folder_is_made_and_private(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DATA_FOLDER", str(tmp_path / "a" / "b"))
    folder = data_folder()
    assert folder == tmp_path / "a" / "b"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_name_the_user_s_data_directory_is_used(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("DATA_FOLDER", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "ftp-deploy"


def test_a_folder_that_cannot_be_made_is_named(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATA_FOLDER", str(tmp_path / "file" / "below"))
    with pytest.raises(ImproperlyConfigured, match="file/below"):
        data_folder()


def test_the_secret_key_is_made_once_and_private(tmp_path) -> None:
    key = stored_secret_key(tmp_path)
    assert len(key) > 50
    assert stored_secret_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_the_first_process_s_key_counts(tmp_path, monkeypatch) -> None:
    real = os.link

    def slower(source: str | Path, target: str | Path) -> None:
        Path(target).write_text("from-another-process")
        real(source, target)

    monkeypatch.setattr(os, "link", slower)
    assert stored_secret_key(tmp_path) == "from-another-process"


def test_the_settings_file_fills_what_the_environment_leaves_open(monkeypatch, tmp_path, env) -> None:
    env.ENVIRON["BASE_URL"] = "https://from.the.environment"
    (tmp_path / "settings.env").write_text("BASE_URL=https://from.the.file\nGITHUB_TOKEN=canary\n")
    monkeypatch.delenv("SETTINGS_FILE", raising=False)
    assert read_settings_file(tmp_path) == tmp_path / "settings.env"
    assert env.ENVIRON["BASE_URL"] == "https://from.the.environment"
    assert env.ENVIRON["GITHUB_TOKEN"] == "canary"


def test_a_named_settings_file_must_exist(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SETTINGS_FILE", str(tmp_path / "none"))
    with pytest.raises(ImproperlyConfigured, match="none"):
        read_settings_file(tmp_path)


def test_app_settings_are_read_in_their_own_type(env) -> None:
    env.ENVIRON.update(
        FTP_DEPLOY_SWEEP_SECONDS="2.5",
        FTP_DEPLOY_MAX_ATTEMPTS="7",
        FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES="true",
        FTP_DEPLOY_ENCRYPTION_KEYS="a,b",
        FTP_DEPLOY_PROVIDERS='{"mine": "my.Provider"}',
        GITHUB_USERNAME="u",
        GITHUB_TOKEN="t",
    )
    assert app_settings(env) == {
        "FTP_DEPLOY_SWEEP_SECONDS": 2.5,
        "FTP_DEPLOY_MAX_ATTEMPTS": 7,
        "FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES": True,
        "FTP_DEPLOY_ENCRYPTION_KEYS": ["a", "b"],
        "FTP_DEPLOY_PROVIDERS": {"mine": "my.Provider"},
        "DEPLOY_GITHUB_SETTINGS": {"username": "u", "password": "t"},
    }
