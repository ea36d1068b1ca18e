"""Bulk upserts, generated from the tables.

A row is a tuple in the order of the table's columns (alerts lack `seq`, which the writer
assigns). Its values do not depend on the engine: times are microseconds since 1970, ids and JSON
are text, flags are `bool`, amounts are `Decimal`. SQLite gets one `executemany`, PostgreSQL one
statement whose parameter is an array of a composite type (ADR 24).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, Table, Text

from sinks.sql.conversion import convert, iso_utc
from sinks.sql.types import (
    Amount,
    Flag,
    JsonText,
    UtcTime,
    UuidText,
    amount_text,
    fits_amount,
    fits_time,
)

Row = tuple[Any, ...]

#: The key in `Connection.info` that holds whether the PostgreSQL session has the row types.
HAS_ROW_TYPES = "headrace.has_row_types"


@dataclass(frozen=True, slots=True)
class ColumnEncoding:
    """How the values of a column are checked and sent to the engines.

    PostgreSQL receives them as `pg_type` and converts them by the SQL expression
    `pg_expression`. SQLite receives the results of `to_sqlite`. `fits` returns False for values
    that only one engine could store; texts are checked for NUL. Neither is called for NULL.
    """

    pg_type: str
    pg_expression: str = "{0}"
    to_sqlite: Callable[[Any], Any] | None = None
    fits: Callable[[Any], bool] | None = None


# asyncpg encodes integers and text several times faster than datetimes and JSON. Seconds and
# microseconds are added separately, because an interval is multiplied by a double, which would
# round microseconds beyond 2^53 (before the year 1684 and from 2255 on).
_ENCODINGS: dict[type[Any], ColumnEncoding] = {
    UuidText: ColumnEncoding("uuid"),
    UtcTime: ColumnEncoding(
        "int8",
        "timestamptz 'epoch' + {0} / 1000000 * interval '1 second'"
        " + {0} % 1000000 * interval '1 microsecond'",
        to_sqlite=iso_utc,
        fits=fits_time,
    ),
    JsonText: ColumnEncoding("text", "{0}::json"),
    Flag: ColumnEncoding("bool", to_sqlite=int),
    Amount: ColumnEncoding("numeric", to_sqlite=amount_text, fits=fits_amount),
    Text: ColumnEncoding("text"),
    BigInteger: ColumnEncoding("int8"),
    Integer: ColumnEncoding("int4"),
    LargeBinary: ColumnEncoding("bytea"),
}


def encoding_of(column: Column[Any]) -> ColumnEncoding:
    """Return the encoding of a column."""
    return _ENCODINGS[type(column.type)]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Upsert rows: keep existing facts, overwrite rows that have an older revision.

    On PostgreSQL, keys must be unique among rows with revisions.
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
    """Return the statement that upserts one row, for `executemany`."""
    quoted = _quoted(table)
    placeholders = ", ".join("?" for _ in quoted)
    return (
        f"INSERT INTO {table.name} ({', '.join(quoted)}) "  # noqa: S608 - our own names
        f"VALUES ({placeholders}) {_on_conflict(table)}"
    )


@cache
def postgres_insert(table: Table) -> str:
    """Return the statement that upserts all rows, given as one array of the row type."""
    return _insert_select(table, f"unnest($1::{_postgres_type(table)}[])")


@cache
def postgres_insert_columns(table: Table) -> str:
    """Return the statement that upserts all rows, given as one array per column.

    It is slower, but needs no temporary types, which do not survive in a pooler's sessions.
    """
    arrays = ", ".join(
        f"${number}::{encoding_of(column).pg_type}[]"
        for number, column in enumerate(table.columns, 1)
    )
    return _insert_select(table, f"unnest({arrays}) AS batch({', '.join(_quoted(table))})")


def _insert_select(table: Table, rows: str) -> str:
    quoted = _quoted(table)
    values = ", ".join(
        encoding_of(column).pg_expression.format(name)
        for column, name in zip(table.columns, quoted, strict=True)
    )
    return (
        f"INSERT INTO {table.name} ({', '.join(quoted)}) "  # noqa: S608 - our own names
        f"SELECT {values} FROM {rows} {_on_conflict(table)}"
    )


def create_postgres_types(tables: Iterable[Table]) -> str:
    """Return the statements that create the row types of tables.

    They are temporary types of the session, so they always match this version of headrace.
    """
    return "; ".join(
        f"CREATE TYPE {_postgres_type(table)} AS ({_fields(table)})" for table in tables
    )


def sqlite_rows(table: Table, rows: Sequence[Row]) -> list[Row]:
    """Convert rows to the values that SQLite stores; NULL is bound as NaN."""
    return convert(rows, columns_of(table).conversions)


class Columns(NamedTuple):
    """The indexes of the columns of a table that are checked or converted."""

    texts: tuple[int, ...]
    checks: tuple[tuple[int, Callable[[Any], bool]], ...]
    #: For SQLite.
    conversions: tuple[tuple[int, Callable[[Any], Any]], ...]


@cache
def columns_of(table: Table) -> Columns:
    """Return the columns of a table that are checked or converted."""
    encodings = list(enumerate(map(encoding_of, table.columns)))
    return Columns(
        tuple(index for index, encoding in encodings if encoding.pg_type == "text"),
        tuple((index, encoding.fits) for index, encoding in encodings if encoding.fits),
        tuple((index, encoding.to_sqlite) for index, encoding in encodings if encoding.to_sqlite),
    )


def _on_conflict(table: Table) -> str:
    """Return the `ON CONFLICT` action: keep facts, overwrite rows that have an older revision."""
    key = ", ".join(column.name for column in table.primary_key)
    if "revision" not in table.columns:
        return f"ON CONFLICT ({key}) DO NOTHING"
    assignments = ", ".join(
        f'"{column.name}" = excluded."{column.name}"'
        for column in table.columns
        if not column.primary_key
    )
    return (
        f"ON CONFLICT ({key}) DO UPDATE SET {assignments} "
        f"WHERE excluded.revision > {table.name}.revision"
    )


def _postgres_type(table: Table) -> str:
    return f"pg_temp.{table.name}_row"


def _fields(table: Table) -> str:
    fields = zip(_quoted(table), table.columns, strict=True)
    return ", ".join(f"{name} {encoding_of(column).pg_type}" for name, column in fields)


def _quoted(table: Table) -> list[str]:
    return [f'"{column.name}"' for column in table.columns]
