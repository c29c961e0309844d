"""Django's settings of a database from its URL."""

import os
from typing import Any
from urllib.parse import urlsplit


def database(url: str) -> dict[str, Any]:
    """Return the settings for ``postgresql://user@host:port/name``, ``mysql://...`` or ``sqlite:///path``.

    ``SQLITE_MODE`` in the environment: IMMEDIATE, as documented, or DEFERRED, as Django does without being told.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        mode = os.environ.get("SQLITE_MODE", "IMMEDIATE")
        options: dict[str, Any] = {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}
        if mode != "DEFERRED":
            options["transaction_mode"] = mode
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path, "OPTIONS": options}
    if parts.scheme == "mysql":
        import pymysql  # type: ignore[import-untyped]  # mysqlclient would have to be compiled

        pymysql.install_as_MySQLdb()
    return {
        "ENGINE": f"django.db.backends.{parts.scheme}",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "OPTIONS": {"connect_timeout": 3} | ({"isolation_level": "read committed"} if parts.scheme == "mysql" else {}),
    }
