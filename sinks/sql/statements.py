"""SQL for batches of rows, generated from the tables.

A row is a plain tuple in the order of the table's columns (`seq` of alerts excepted: the
writer numbers them), in neutral values: times are microseconds since 1970, ids and JSON are
text, flags are `bool`, amounts are `Decimal`. SQLite gets one `executemany`; PostgreSQL one
statement for all rows, as an array of a composite type of ours (ADR 24).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, Table, Text

from sinks.sql.types import Amount, Flag, JsonText, UtcTime, UuidText, amount_text, iso_utc

Row = tuple[Any, ...]

#: In the info of a PostgreSQL connection: whether its session has the types of rows.
HAS_ROW_TYPES = "headrace.has_row_types"
Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """How a column's neutral values reach the engines.

    `sent_as` is the type in which PostgreSQL is sent it, `select` turns that into the column's
    value, `to_sqlite` does so in Python (not called for NULL).
    """

    sent_as: str
    select: str = "{0}"
    to_sqlite: Callable[[Any], Any] | None = None
    is_time: bool = False


#: SQLite stores it as NULL, in a column of any type. Python's module hands a float over as it
#: is, where for each None it searches through three places for an adapter.
_NULL = math.nan

# Integers and text are encoded several times faster than datetimes and JSON. An interval is
# multiplied by a double: in one step, microseconds beyond 2^53 (from the year 2255 on, and before
# 1684) would be rounded. Whole seconds times 10^6 are exact in a double up to the year 9999.
_KINDS: dict[type[Any], ColumnKind] = {
    UuidText: ColumnKind("uuid"),
    UtcTime: ColumnKind(
        "int8",
        "timestamptz 'epoch' + {0} / 1000000 * interval '1 second'"
        " + {0} % 1000000 * interval '1 microsecond'",
        to_sqlite=iso_utc,
        is_time=True,
    ),
    JsonText: ColumnKind("text", "{0}::json"),
    Flag: ColumnKind("bool", to_sqlite=int),
    Amount: ColumnKind("numeric", to_sqlite=amount_text),
    Text: ColumnKind("text"),
    BigInteger: ColumnKind("int8"),
    Integer: ColumnKind("int4"),
    LargeBinary: ColumnKind("bytea"),
}


def kind_of(column: Column[Any]) -> ColumnKind:
    """Return how the column is written."""
    return _KINDS[type(column.type)]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert a batch: facts that are there stay, newer revisions win.

    On PostgreSQL, no key may come twice in rows with revisions.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(sqlite_insert(table), sqlite_rows(table, rows))
    elif connection.info[HAS_ROW_TYPES]:
        connection.exec_driver_sql(postgres_insert(table), (rows,))
    else:
        columns = tuple(map(list, zip(*rows, strict=True)))
        connection.exec_driver_sql(postgres_insert_columns(table), columns)


@cache
def sqlite_insert(table: Table) -> str:
    """Return the statement for one row; to be sent with many."""
    quoted = _quoted(table)
    marks = ", ".join("?" for _ in quoted)
    return (
        f"INSERT INTO {table.name} ({', '.join(quoted)}) "  # noqa: S608 - our own names
        f"VALUES ({marks}) {_conflict(table)}"
    )


@cache
def postgres_insert(table: Table) -> str:
    """Return the statement for all rows of a batch, its one parameter."""
    return _insert_select(table, f"unnest($1::{_postgres_type(table)}[])")


@cache
def postgres_insert_columns(table: Table) -> str:
    """Return the statement for all rows of a batch, a parameter for each column.

    It needs no types of ours, which a session that a pooler shares cannot keep; it is slower.
    """
    arrays = ", ".join(
        f"${number}::{kind_of(column).sent_as}[]" for number, column in enumerate(table.columns, 1)
    )
    return _insert_select(table, f"unnest({arrays}) AS batch({', '.join(_quoted(table))})")


def _insert_select(table: Table, rows: str) -> str:
    quoted = _quoted(table)
    values = ", ".join(
        kind_of(column).select.format(name)
        for column, name in zip(table.columns, quoted, strict=True)
    )
    return (
        f"INSERT INTO {table.name} ({', '.join(quoted)}) "  # noqa: S608 - our own names
        f"SELECT {values} FROM {rows} {_conflict(table)}"
    )


def create_postgres_types(tables: Iterable[Table]) -> str:
    """Return the statements that make the types of these tables' rows, for one session.

    They are the session's own, so they are always those of the program that uses them.
    """
    return "; ".join(
        f"CREATE TYPE {_postgres_type(table)} AS ({_fields(table)})" for table in tables
    )


def sqlite_rows(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Return rows as SQLite stores them: by columns, which is faster."""
    stored = [
        _stored(kind_of(column).to_sqlite, values)
        for column, values in zip(table.columns, zip(*rows, strict=True), strict=True)
    ]
    return list(zip(*stored, strict=True))


def _stored(convert: Callable[[Any], Any] | None, values: Values) -> Values:
    if convert is not None:
        return [_NULL if value is None else convert(value) for value in values]
    if None in values:
        return [_NULL if value is None else value for value in values]
    return values


def _conflict(table: Table) -> str:
    """Return what happens to a row whose key is there: facts stay, newer revisions win."""
    key = ", ".join(column.name for column in table.primary_key)
    if "revision" not in table.columns:
        return f"ON CONFLICT ({key}) DO NOTHING"
    sets = ", ".join(
        f'"{column.name}" = excluded."{column.name}"'
        for column in table.columns
        if not column.primary_key
    )
    return (
        f"ON CONFLICT ({key}) DO UPDATE SET {sets} WHERE excluded.revision > {table.name}.revision"
    )


def _postgres_type(table: Table) -> str:
    return f"pg_temp.{table.name}_row"


def _fields(table: Table) -> str:
    fields = zip(_quoted(table), table.columns, strict=True)
    return ", ".join(f"{name} {kind_of(column).sent_as}" for name, column in fields)


def _quoted(table: Table) -> list[str]:
    return [f'"{column.name}"' for column in table.columns]
