"""What the stand-alone mode reads from outside: the data folder, the settings file, the secret key, app settings.

All state lives in one folder. It is named by ``DATA_FOLDER``; without that it is ``ftp-deploy`` in the user's data
directory (the XDG Base Directory Specification: ``$XDG_DATA_HOME``, else ``~/.local/share``).
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from ftp_deploy.conf import Conf, Setting

SETTINGS_FILE = "settings.env"
SECRET_KEY_FILE = "secret_key"  # noqa: S105 - a file name
FORGES = ("GITHUB", "BITBUCKET", "GITLAB", "GITEA", "GIT")
PRIVATE_FOLDER = 0o700


def default_folder() -> Path:
    """Return the data folder that is used where nobody named one."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "ftp-deploy"


def data_folder() -> Path:
    """Return the data folder, made if it is new and closed to other users of the machine."""
    folder = Path(os.environ.get("DATA_FOLDER") or default_folder()).expanduser().absolute()
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data folder {folder} cannot be made: {error}. Name one by DATA_FOLDER."
        ) from error
    return folder


def read_settings_file(folder: Path) -> Path | None:
    """Read ``NAME=value`` lines into the environment; what is set there already wins. Return the file, None without.

    The file is named by ``SETTINGS_FILE``; without that it is ``settings.env`` in the data folder, where it exists.
    """
    named = os.environ.get("SETTINGS_FILE")
    path = Path(named) if named else folder / SETTINGS_FILE
    if not path.is_file():
        if named:
            raise ImproperlyConfigured(f"SETTINGS_FILE names {path}, which is not a file.")
        return None
    environ.Env.read_env(str(path))
    return path


def stored_secret_key(folder: Path) -> str:
    """Return the key kept in the data folder; the first call makes it. Safe for several processes at once."""
    path = folder / SECRET_KEY_FILE
    if not path.exists():
        fresh = folder / f".{SECRET_KEY_FILE}.{os.getpid()}"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text(encoding="ascii").strip()


def app_settings(env: environ.Env) -> dict[str, Any]:
    """Return the settings of the app that the environment holds, by their names, each in its default's type.

    The login on a forge is ``GITHUB_USERNAME``, ``GITHUB_TOKEN``, ``GITHUB_URL`` and the same for the other forges.
    """
    readers = {bool: env.bool, int: env.int, float: env.float, str: env.str, list: env.list, dict: env.json}
    found: dict[str, Any] = {}
    for setting in vars(Conf).values():
        if isinstance(setting, Setting) and setting.name in env:
            found[setting.name] = readers[type(setting.default)](setting.name)
    for forge in FORGES:
        login = {
            key: env.str(f"{forge}_{name}")
            for key, name in (("username", "USERNAME"), ("password", "TOKEN"), ("url", "URL"))
            if f"{forge}_{name}" in env
        }
        if login:
            found[f"DEPLOY_{forge}_SETTINGS"] = login
    return found
