"""SQL text for batches of rows, and their parameters, generated from the tables.

A row is a plain tuple in the order of the table's columns (`seq` of alerts excepted: the
writer numbers them), in neutral values: times are microseconds since 1970, ids and JSON are
text, flags are `bool`, amounts are `Decimal`. SQLite gets one `executemany`; PostgreSQL one
statement with an array for each column, which is what makes it fast (sql.md, section 2).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from sinks.sql.types import Amount, Flag, JsonText, UtcTime, UuidText, iso_utc

Row = tuple[Any, ...]
Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """How a column's neutral values reach the engines.

    `array` is the element type of PostgreSQL's parameter, `select` turns an element into the
    column's value, `to_sqlite` does so in Python (not called for NULL).
    """

    array: str
    select: str = "{}"
    to_sqlite: Callable[[Any], Any] | None = None
    is_time: bool = False


#: SQLite stores it as NULL, in a column of any type. Python's module hands a float over as it
#: is, where for each None it searches through three places for an adapter.
_NULL = math.nan

# Arrays of integers and text are encoded several times faster than of datetimes.
_KINDS: dict[type[Any], ColumnKind] = {
    UuidText: ColumnKind("uuid"),
    UtcTime: ColumnKind(
        "int8",
        "timestamptz 'epoch' + {} * interval '1 microsecond'",
        to_sqlite=iso_utc,
        is_time=True,
    ),
    JsonText: ColumnKind("text", "{}::json"),
    Flag: ColumnKind("bool", to_sqlite=int),
    Amount: ColumnKind("numeric", to_sqlite=float),
    Text: ColumnKind("text"),
    BigInteger: ColumnKind("int8"),
    Integer: ColumnKind("int4"),
    LargeBinary: ColumnKind("bytea"),
}


def kind_of(column: Column[Any]) -> ColumnKind:
    """Return how the column is written."""
    return _KINDS[type(column.type)]


def sqlite_insert(table: Table) -> str:
    """Return the statement for one row; to be sent with many."""
    quoted = _quoted(table)
    marks = ", ".join("?" for _ in quoted)
    return (
        f"INSERT INTO {table.name} ({', '.join(quoted)}) "  # noqa: S608 - our own names
        f"VALUES ({marks}) {_conflict(table)}"
    )


def postgres_insert(table: Table) -> str:
    """Return the statement for all rows of a batch, one array parameter a column."""
    quoted = _quoted(table)
    kinds = [kind_of(column) for column in table.columns]
    arrays = ", ".join(f"${n}::{kind.array}[]" for n, kind in enumerate(kinds, 1))
    names = ", ".join(f"c{n}" for n in range(len(kinds)))
    values = ", ".join(kind.select.format(f"c{n}") for n, kind in enumerate(kinds))
    return (
        f"INSERT INTO {table.name} ({', '.join(quoted)}) "  # noqa: S608 - our own names
        f"SELECT {values} FROM unnest({arrays}) AS batch ({names}) {_conflict(table)}"
    )


def postgres_parameters(columns: Iterable[Values]) -> tuple[Values, ...]:
    """Return the arrays of a batch, given its columns.

    A column that is NULL throughout, as most of an event's are, is an empty array: `unnest`
    fills shorter arrays up with NULLs, and asyncpg looks long at each None.
    """
    return tuple(() if values.count(None) == len(values) else values for values in columns)


def sqlite_parameters(table: Table, columns: Iterable[Values]) -> list[Row]:
    """Return the rows of a batch, given its columns."""
    stored = [
        _stored(kind_of(column).to_sqlite, values)
        for column, values in zip(table.columns, columns, strict=True)
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


def _quoted(table: Table) -> list[str]:
    return [f'"{column.name}"' for column in table.columns]
