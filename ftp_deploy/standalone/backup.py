"""``ftp-deploy backup``: what a site needs to go on elsewhere, in one archive, taken while it runs."""

import os
import sqlite3
import tarfile
import tempfile
from pathlib import Path

from django.core.management.base import CommandError
from django.db import connection

from ftp_deploy.standalone.environment import SECRET_KEY_FILE, SETTINGS_FILE
from ftp_deploy.standalone.site import site

DATABASE_FILE = "database.sqlite3"


def copy_database(target: Path) -> None:
    """Copy the SQLite database as it stands at one moment, with SQLite's own online backup."""
    connection.ensure_connection()
    copy = sqlite3.connect(target)
    try:
        connection.connection.backup(copy)
    finally:
        copy.close()


def write_backup(file: Path) -> Path:
    """Write the archive, readable by its owner only; return its path.

    It unpacks into a data folder. Raises ``CommandError`` where the database is a server: that has tools of its own.
    """
    if connection.vendor != "sqlite":
        raise CommandError("This site's database is a server: back it up with its own tool, such as pg_dump.")
    file = file.absolute()
    folder: Path = site.DATA_FOLDER
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        copy = Path(scratch) / DATABASE_FILE
        copy_database(copy)
        with (
            open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw,
            tarfile.open(fileobj=raw, mode="w:gz") as archive,
        ):
            archive.add(copy, DATABASE_FILE)
            for name in (SECRET_KEY_FILE, SETTINGS_FILE, "templates"):
                if (folder / name).exists():
                    archive.add(folder / name, name)
    return file
