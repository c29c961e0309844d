"""What the stand-alone mode reads from outside."""

import os
import stat
import traceback
from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from ftp_deploy.standalone.environment import (
    Environment,
    app_settings,
    broker_address,
    data_folder,
    database_settings,
    mail_settings,
    one_of,
    public_address,
    read_settings_file,
    stored_secret_key,
    unknown_names,
)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    fresh: dict[str, str] = {}
    monkeypatch.setattr(environ.Env, "ENVIRON", fresh)
    monkeypatch.setenv("DATA_FOLDER", str(tmp_path))
    monkeypatch.delenv("SETTINGS_FILE", raising=False)
    return Environment()


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
    assert read_settings_file() == tmp_path / "settings.env"
    assert env.ENVIRON["BASE_URL"] == "https://from.the.environment"
    assert env.ENVIRON["GITHUB_TOKEN"] == "canary"


def test_a_named_settings_file_must_exist(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SETTINGS_FILE", str(tmp_path / "none"))
    with pytest.raises(ImproperlyConfigured, match="none"):
        read_settings_file()


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


def test_a_settings_file_may_have_spaces_comments_and_quotes(tmp_path, env) -> None:
    (tmp_path / "settings.env").write_text(
        "# mine\n\n  GITHUB_TOKEN = 'a b#c'\nexport METRICS_TOKEN=$tok=en\n", encoding="utf-8"
    )
    read_settings_file()
    assert env.str("GITHUB_TOKEN") == "a b#c"
    assert env.str("METRICS_TOKEN", default="") == "$tok=en"


@pytest.mark.parametrize("line", ["canary word", "GITHUB_TOKEN=canary\0word"])
def test_a_line_that_is_no_setting_is_told_by_its_number_alone(tmp_path, env, line) -> None:
    (tmp_path / "settings.env").write_text(f"BASE_URL=https://a.example.com\n{line}\n")
    with pytest.raises(ImproperlyConfigured, match=r"settings\.env, line 2: write one setting a line") as refused:
        read_settings_file()
    assert "canary" not in str(refused.value)


def test_a_named_settings_file_may_name_the_data_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(environ.Env, "ENVIRON", os.environ)
    monkeypatch.setenv("DATA_FOLDER", "later")
    monkeypatch.delenv("DATA_FOLDER")
    (tmp_path / "site.env").write_text(f"DATA_FOLDER={tmp_path / 'elsewhere'}\n")
    monkeypatch.setenv("SETTINGS_FILE", str(tmp_path / "site.env"))
    read_settings_file()
    assert data_folder() == tmp_path / "elsewhere"


def test_a_misspelt_name_is_found(tmp_path, env) -> None:
    file = tmp_path / "settings.env"
    file.write_text("GITHUB_TOKN=x\nGITHUB_TOKEN=x\nMETRICS_TOKEN=x\nFTP_DEPLOY_SWEEP_SECONDS=2\nHTTPS_PROXY=x\n")
    env.str("METRICS_TOKEN", default="")
    assert unknown_names(file, env.asked) == ["GITHUB_TOKN"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FTP_DEPLOY_SWEEP_SECONDS", "canary", "a number"),
        ("FTP_DEPLOY_MAX_ATTEMPTS", "1.5", "a whole number"),
        ("FTP_DEPLOY_COMMIT_STATUS", "canary", "on or off"),
        ("FTP_DEPLOY_PROVIDERS", "canary", "a mapping in JSON"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_sentence_without_the_value(env, name, value, words) -> None:
    env.ENVIRON[name] = value
    with pytest.raises(ImproperlyConfigured, match=f"^{name} has to be {words}.$"):
        app_settings(env)


@pytest.mark.parametrize(
    "url", ["deploy.example.com", "ftp://deploy.example.com", "https://", "http://a:b", "http://[x"]
)
def test_the_public_address_is_a_whole_one(url) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^BASE_URL "):
        public_address(url)


def test_a_public_address_and_none(env) -> None:
    assert public_address("https://a.example.com/deploy").hostname == "a.example.com"
    assert public_address("").hostname is None


@pytest.mark.parametrize(
    "url", ["canary", "oracl://canary", "postgres://user:canary/x@host/name", "postgres://user:canary?x@host/name"]
)
def test_an_address_of_no_database_is_a_sentence_without_it(env, tmp_path, url) -> None:
    env.ENVIRON["DATABASE_URL"] = url
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL has to be") as refused:
        database_settings(env, tmp_path / "file")
    assert "canary" not in "".join(traceback.format_exception(refused.value))


def test_an_address_of_a_broker_that_cannot_be_read_is_a_sentence_without_it(env) -> None:
    env.ENVIRON["BROKER_URL"] = "amqp://user:canary/x@host//"
    with pytest.raises(ImproperlyConfigured, match=r"^BROKER_URL has to be") as refused:
        broker_address(env)
    assert "canary" not in "".join(traceback.format_exception(refused.value))
    for url in ("", "amqp://user:pass%2Fword@host:5672//", "sentinel://one:26379;sentinel://two:26379"):
        env.ENVIRON["BROKER_URL"] = url
        assert broker_address(env) == url


def test_the_database_is_a_file_unless_named(env, tmp_path) -> None:
    assert database_settings(env, tmp_path / "file")["NAME"] == str(tmp_path / "file")


@pytest.mark.parametrize("url", ["canary", "smtpp://canary", "smtp://user:canary/x@mail.example.com:25"])
def test_an_address_of_no_mail_server_is_a_sentence_without_it(env, url) -> None:
    env.ENVIRON["EMAIL_URL"] = url
    with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL has to be") as refused:
        mail_settings(env)
    assert "canary" not in "".join(traceback.format_exception(refused.value))


def test_one_of_many(env) -> None:
    assert one_of(env, "LOG_LEVEL", "INFO", {"INFO"}, "INFO") == "INFO"
    env.ENVIRON["LOG_LEVEL"] = "loud"
    with pytest.raises(ImproperlyConfigured, match=r"^LOG_LEVEL has to be INFO or so, not 'loud'.$"):
        one_of(env, "LOG_LEVEL", "INFO", {"INFO"}, "INFO or so")


def test_an_empty_key_is_not_taken(tmp_path) -> None:
    (tmp_path / "secret_key").touch()
    with pytest.raises(ImproperlyConfigured, match="put it back from a backup"):
        stored_secret_key(tmp_path)


def test_a_key_that_cannot_be_made_says_what_to_do(tmp_path) -> None:
    with pytest.raises(ImproperlyConfigured, match="change its owner"):
        stored_secret_key(tmp_path / "none")
