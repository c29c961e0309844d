"""The short way of a push into the line: one statement, for a push that plainly follows the newest one.

The statement looks and inserts at once, and takes no lock. That is safe because each row of a service has a ``turn`` of
its own (a unique constraint): of two pushes that both saw the same line one is stored, the other is told to take the
long way, which locks. A push that may be a duplicate, or whose place is not the end of the line, goes there at once.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import NOT_PROVIDED, Field
from django.utils import timezone

from ftp_deploy.deploys.one_writer import one_writer
from ftp_deploy.models import Deploy, Service
from ftp_deploy.providers.base import Commit, PushEvent

QUICK = frozenset({"postgresql", "sqlite"})
"""Databases on which the statement is used: MySQL would lock the gaps that it reads, and two pushes could deadlock."""
TOLD = (
    "service",
    "provider",
    "branch",
    "before",
    "after",
    "delivery_id",
    "forced",
    "commits",
    "commits_complete",
    "user_name",
    "user_email",
    "compare_url",
    "steps",
    "created_at",
)
"""The fields that differ from push to push; all others have their defaults."""
LINE = ("position", "turn")
"""The fields that the statement counts itself."""


def append(service: Service, delivery_id: str, event: PushEvent) -> Deploy | None:
    """Store a push at the end of the line; return its row, of which the other fields are read when asked for.

    None: the push does not follow the end of the line, may be a duplicate, waits behind one of unknown order, or
    another push was stored at the same moment. Nothing is stored then.
    """
    alias = router.db_for_write(Deploy)
    connection = connections[alias]
    if connection.vendor not in QUICK or event.before == event.after:
        return None
    values = zip(_fields(TOLD), _told(service, delivery_id, event), strict=True)
    told = [field.get_db_prep_save(value, connection) for field, value in values]
    pk = service.pk
    looked: list[Any] = [pk, event.before, pk, pk]
    try:
        with connection.cursor() as cursor, _savepoint(alias):
            cursor.execute(_statement(alias), [*told, *looked])
            stored = _inserted(connection, cursor)
    except IntegrityError:
        return None
    return Deploy.from_db(alias, ("id", "service_id"), (stored, pk)) if stored else None


def _told(service: Service, delivery_id: str, event: PushEvent) -> tuple[object, ...]:
    now = timezone.now()
    return (
        service.pk,
        service.provider,
        event.branch,
        event.before,
        event.after,
        delivery_id,
        event.forced,
        [commit_as_json(commit) for commit in event.commits],
        event.complete,
        event.user_name,
        event.user_email,
        event.compare_url,
        {Deploy.Phase.RECEIVED.value: now.isoformat()},
        now,
    )


def commit_as_json(commit: Commit) -> dict[str, str]:
    """Return the stored form of a commit."""
    return {
        "id": commit.id,
        "message": commit.message,
        "author_name": commit.author_name,
        "author_email": commit.author_email,
        "timestamp": commit.timestamp,
        "url": commit.url,
    }


@cache
def _fields(names: Sequence[str]) -> "tuple[Field[Any, Any], ...]":
    return tuple(Deploy._meta.get_field(name) for name in names)  # type: ignore[misc]


@cache
def _statement(alias: str) -> str:
    """Return the statement in the words of a database."""
    connection = connections[alias]

    def quote(name: str) -> str:
        return connection.ops.quote_name(_column(name))

    constant = {field.name: _literal(field) for field in _constant()}
    columns = ", ".join(map(quote, (*TOLD, *LINE, *constant)))
    selected = ["%s"] * len(TOLD) + [f"line.{quote(name)} + 1" for name in LINE] + list(constant.values())
    looked_at = {name: quote(name) for name in (*TOLD, *LINE, "id", "kind", "state", "order_unknown", "commit")}
    table = connection.ops.quote_name(Deploy._meta.db_table)
    returning = f" RETURNING {quote('id')}" if connection.features.can_return_columns_from_insert else ""
    insert = f"INSERT INTO {table} ({columns}) SELECT {', '.join(selected)}"
    return insert + _LOOK.format(table=table, **looked_at) + returning


def _column(name: str) -> str:
    column: str = Deploy._meta.get_field(name).column  # type: ignore[union-attr, assignment]
    return column


_LOOK = """
 FROM (SELECT {position}, {turn}, {kind}, {after}, {commit}, {order_unknown} FROM {table}
       WHERE {service} = %s ORDER BY {position} DESC, {id} DESC LIMIT 1) line
 WHERE line.{kind} = 'push' AND line.{after} = %s AND line.{turn} IS NOT NULL
   AND (NOT line.{order_unknown} OR line.{commit} = line.{after})
   AND NOT EXISTS (SELECT 1 FROM {table} WHERE {service} = %s AND {turn} > line.{turn})
   AND NOT EXISTS (SELECT 1 FROM {table} WHERE {service} = %s AND {state} = 'queued' AND {order_unknown})"""
"""What the line has to look like: its end is a push in order (see ``queue.is_in_order``), and was stored last as well.
The turn after its own is then free for one push alone. A delivery that is there already is refused by its constraint.
"""


def _constant() -> "list[Field[Any, Any]]":
    left_out = {"id", *TOLD, *LINE}
    fields = [field for field in Deploy._meta.concrete_fields if field.name not in left_out]
    return [field for field in fields if not field.null]


def _literal(field: "Field[Any, Any]") -> str:
    """Return the default of a field as SQL: of numbers, truth values, words and JSON, no other kinds."""
    if field.default is NOT_PROVIDED and not field.empty_strings_allowed:
        raise TypeError(f"Deploy.{field.name} needs a default.")
    value = field.get_default()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return str(value)
    text = str(value) if isinstance(value, str) else json.dumps(value)
    if "'" in text or "%" in text or "\\" in text:
        raise ValueError(f"The default of Deploy.{field.name} cannot be written down: {text}")
    return f"'{text}'"


def _savepoint(alias: str) -> AbstractContextManager[Any]:
    """Return what keeps an outer transaction usable; without one the statement is its own transaction."""
    return transaction.atomic(using=alias) if connections[alias].in_atomic_block else one_writer(alias)


def _inserted(connection: Any, cursor: Any) -> int | None:
    if connection.features.can_return_columns_from_insert:
        row = cursor.fetchone()
        return row[0] if row else None
    return cursor.lastrowid if cursor.rowcount == 1 else None
