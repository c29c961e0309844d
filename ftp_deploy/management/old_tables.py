"""Reading the tables of the 2.x releases: from another database of the project, or from a SQLite file.

Only tables and columns that are there are read; each row is a dictionary. The tables may carry a prefix, for sites
that renamed them to make room for the new ones.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, connections

from ftp_deploy.management.services import WRONG_USE

Row = dict[str, Any]
OLD_COLUMN = "ftp_host"
"""A column of the old table of services that the new one does not have."""
BLOCK = 200


@dataclass(frozen=True, slots=True)
class OldTables:
    """Where the old tables are: ``alias`` is a database of the project, ``file`` a SQLite file."""

    alias: str = "default"
    file: str = ""
    prefix: str = ""
    missing: list[str] = field(default_factory=list)

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of ``ftp_deploy_<name>`` in the order of their keys; nothing where there is no such table."""
        table = f"{self.prefix}ftp_deploy_{name}"
        yield from self._from_file(table) if self.file else self._from_database(table)

    def check(self) -> None:
        """Raise ``CommandError`` where there is no old table of services."""
        try:
            first = next(self.rows("service"), None)
        except (DatabaseError, sqlite3.Error) as error:
            raise CommandError(f"The old tables cannot be read: {error}", returncode=WRONG_USE) from error
        if "service" in self.missing:
            raise CommandError(
                f"There is no table {self.prefix}ftp_deploy_service in {self.file or self.alias}.", returncode=WRONG_USE
            )
        if first is not None and OLD_COLUMN not in first:
            raise CommandError(
                f"{self.prefix}ftp_deploy_service in {self.file or self.alias} is not a table of 2.x. "
                "Name another database with --database, a file with --sqlite, or the prefix of renamed tables with "
                "--prefix.",
                returncode=WRONG_USE,
            )

    def _from_file(self, table: str) -> Iterator[Row]:
        path = Path(self.file).resolve()
        if not path.is_file():
            raise CommandError(f"There is no file {self.file}.", returncode=WRONG_USE)
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [table])
            if found.fetchone() is None:
                self._note(table)
                return
            yield from _rows_of(connection.cursor(), f'"{table}"')

    def _from_database(self, table: str) -> Iterator[Row]:
        if self.alias not in connections:
            raise CommandError(f"DATABASES has no {self.alias!r}.", returncode=WRONG_USE)
        connection = connections[self.alias]
        with connection.cursor() as cursor:
            if table not in connection.introspection.table_names(cursor):
                self._note(table)
                return
            yield from _rows_of(cursor, connection.ops.quote_name(table))

    def _note(self, table: str) -> None:
        self.missing.append(table.removeprefix(f"{self.prefix}ftp_deploy_"))


def _rows_of(cursor: Any, quoted: str) -> Iterator[Row]:
    cursor.execute(f"SELECT * FROM {quoted} ORDER BY id")  # noqa: S608 - quoted by the database's own rules
    names = [column[0] for column in cursor.description]
    while block := cursor.fetchmany(BLOCK):
        for values in block:
            yield dict(zip(names, values, strict=True))
