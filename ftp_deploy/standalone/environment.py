"""What the stand-alone mode reads from outside: the data folder, the settings file, the secret key, app settings.

All state lives in one folder. It is named by ``DATA_FOLDER``; without that it is ``ftp-deploy`` in the user's data
directory (the XDG Base Directory Specification: ``$XDG_DATA_HOME``, else ``~/.local/share``).
"""

import io
import json
import os
import re
import secrets
import warnings
from collections.abc import Collection
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from ftp_deploy.conf import Conf, Setting

SETTINGS_FILE = "settings.env"
SECRET_KEY_FILE = "secret_key"  # noqa: S105 - a file name
FORGES = ("GITHUB", "BITBUCKET", "GITLAB", "GITEA", "GIT")
LOGIN_PARTS = {"username": "USERNAME", "password": "TOKEN", "url": "URL"}
PRIVATE_FOLDER = 0o700
LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
BOOLEANS = {*environ.Env.BOOLEAN_TRUE_STRINGS, "off", "false", "no", "n", "0", ""}
KINDS = {bool: "on or off", int: "a whole number", float: "a number", json.loads: "a mapping in JSON"}
ENCODED = "In a password / # ? and @ are written as %2F %23 %3F and %40."
OTHERS = {"DATA_FOLDER", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
"""Names that a settings file may hold and that somebody else asks for."""


class Environment(environ.Env):  # type: ignore[misc]
    """Reads values; says in a sentence which one is wrong, never what it holds. ``asked`` has the names asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, **options: Any) -> Any:
        """Return a value in the type that ``cast`` names. Raises ``ImproperlyConfigured``."""
        self.asked.add(var)
        value = self.ENVIRON.get(var, "")
        if cast is bool and value.strip().lower() not in BOOLEANS:
            raise ImproperlyConfigured(f"{var} has to be {KINDS[bool]}.")
        try:
            if value.startswith("$"):  # a password may; for the library it would be the name of another variable
                return self.parse_value(value, cast)
            return super().get_value(var, cast=cast, default=default, **options)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ImproperlyConfigured(f"{var} has to be {KINDS.get(cast, 'of another form')}.") from error


def default_folder() -> Path:
    """Return the data folder that is used where nobody named one."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "ftp-deploy"


def named_folder() -> Path:
    """Return the data folder that the environment names, whether it is there or not."""
    return Path(os.environ.get("DATA_FOLDER") or default_folder()).expanduser().absolute()


def data_folder() -> Path:
    """Return the data folder, made if it is new and closed to other users of the machine."""
    folder = named_folder()
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data folder {folder} cannot be made: {error}. Name one by DATA_FOLDER."
        ) from error
    return folder


def read_settings_file() -> Path | None:
    """Read ``NAME=value`` lines into the environment; what is set there already wins. Return the file, None without.

    The file is named by ``SETTINGS_FILE``; without that it is ``settings.env`` in the data folder, where it exists.
    Raises ``ImproperlyConfigured`` for a line that is no setting.
    """
    named = os.environ.get("SETTINGS_FILE")
    path = Path(named) if named else named_folder() / SETTINGS_FILE
    if not os.path.isfile(path):  # also False where the folder may not be looked into
        if named:
            raise ImproperlyConfigured(f"SETTINGS_FILE names {path}, which is not a file.")
        return None
    lines = "".join(f"{name}={value}\n" for name, value in settings_in(path))
    environ.Env.read_env(io.StringIO(lines))
    return path


def settings_in(path: Path) -> list[tuple[str, str]]:
    """Return names and values of a settings file, quotes kept; lines that are empty or begin with ``#`` are left out.

    Raises ``ImproperlyConfigured`` with the number of a line that cannot be read: what stands there may be secret.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{path} cannot be read: {error}.") from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match or "\0" in line:
            raise ImproperlyConfigured(f"{path}, line {number}: write one setting a line, as NAME=value.")
        found.append((match[1], match[2]))
    return found


def stored_secret_key(folder: Path) -> str:
    """Return the key kept in the data folder; the first call makes it. Safe for several processes at once.

    Raises ``ImproperlyConfigured``.
    """
    path = folder / SECRET_KEY_FILE
    try:
        if not path.exists():
            make_secret_key(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{error}. Run as the owner of the data folder, or change its owner.") from error
    if not key:
        raise ImproperlyConfigured(
            f"{path} is empty: put it back from a backup. If there is none, delete the file; a new one is then made, "
            "and all stored passwords have to be entered again."
        )
    return key


def make_secret_key(path: Path) -> None:
    """Write a new key, whole or not at all."""
    fresh = path.with_name(f".{SECRET_KEY_FILE}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(50))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):  # another process was first: its key counts
        os.link(fresh, path)
    fresh.unlink()


def public_address(url: str) -> SplitResult:
    """Return the parts of ``BASE_URL``; empty ones where it is not set. Raises ``ImproperlyConfigured``."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"BASE_URL is no address: {error}.") from error
    if url and not (parts.scheme in ("http", "https") and parts.hostname):
        raise ImproperlyConfigured("BASE_URL has to be a whole address, such as https://deploy.example.com.")
    return parts


def one_of(env: Environment, name: str, default: str, known: Collection[str], example: str) -> str:
    """Return a text that has to be one of many. Raises ``ImproperlyConfigured``."""
    value = env.str(name, default=default)
    if value not in known:
        raise ImproperlyConfigured(f"{name} has to be {example}, not {value!r}.")
    return str(value)


def mail_settings(env: Environment) -> dict[str, Any]:
    """Return Django's settings of the mail server; without ``EMAIL_URL`` mails are printed."""
    try:
        return dict(env.email_url("EMAIL_URL", default="consolemail://"))
    except (ImproperlyConfigured, ValueError):  # it may quote the address from the password on
        raise ImproperlyConfigured(
            f"EMAIL_URL has to be such as smtp+tls://user:password@mail.example.com:587. {ENCODED}"
        ) from None


def database_settings(env: Environment, file: Path) -> dict[str, Any]:
    """Return Django's settings of the database: that of ``DATABASE_URL``, else a SQLite file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would show the address with its password
        try:
            found: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{file}")
        except ValueError:  # it quotes the address from the password on
            found = {}
    if not find_spec(found.get("ENGINE") or "-"):
        raise ImproperlyConfigured(
            f"DATABASE_URL has to be such as postgres://user:password@host:5432/name. {ENCODED}"
        ) from None
    return found


def broker_address(env: Environment) -> str:
    """Return the address of the broker, or several with ``;`` between them; empty for the embedded one.

    Raises ``ImproperlyConfigured``: whoever read the address later would quote a part of its password.
    """
    url = str(env.str("BROKER_URL", default=""))
    try:
        for one in url.split(";"):
            _ = urlsplit(one).port
    except ValueError:
        raise ImproperlyConfigured(
            f"BROKER_URL has to be such as amqp://user:password@host:5672//. {ENCODED}"
        ) from None
    return url


def app_settings(env: Environment) -> dict[str, Any]:
    """Return the settings of the app that the environment holds, by their names, each in its default's type.

    The login on a forge is ``GITHUB_USERNAME``, ``GITHUB_TOKEN``, ``GITHUB_URL`` and the same for the other forges.
    """
    readers = {bool: env.bool, int: env.int, float: env.float, str: env.str, list: env.list, dict: env.json}
    found: dict[str, Any] = {}
    for setting in vars(Conf).values():
        if isinstance(setting, Setting) and setting.name in env:
            found[setting.name] = readers[type(setting.default)](setting.name)
    for forge in FORGES:
        names = {key: f"{forge}_{part}" for key, part in LOGIN_PARTS.items()}
        login = {key: env.str(name) for key, name in names.items() if name in env}
        if login:
            found[f"DEPLOY_{forge}_SETTINGS"] = login
    return found


def unknown_names(path: Path, asked: set[str]) -> list[str]:
    """Return the names in a settings file that nobody asks for: most likely misspelt."""
    known = asked | OTHERS | {setting.name for setting in vars(Conf).values() if isinstance(setting, Setting)}
    known |= {f"{forge}_{part}" for forge in FORGES for part in LOGIN_PARTS.values()}
    return [name for name, _value in settings_in(path) if name not in known]
