"""The rows of the database in neutral values: times in microseconds, JSON as what it says."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlmodel import SQLModel

from sinks.rows import event_row
from sinks.sql.tables import EventRow, table_of
from sinks.sql.types import JsonText
from tests.e2e.stack import Stack
from tests.reference import Log, Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT_COLUMNS = tuple(table_of(EventRow).columns)


def rows_of(stack: Stack, model: type[SQLModel]) -> list[Row]:
    """Return all rows of a table."""
    return [_neutral(row) for row in stack.select(table_of(model).select())]


def view_rows(stack: Stack, name: str) -> list[Row]:
    """Return all rows of a view; a time is what the engine gives."""
    return [_neutral(row) for row in stack.select(text(f"SELECT * FROM {name}"))]  # noqa: S608


def event_rows(log: Log) -> Iterable[Row]:
    """Return the rows of `events` that a log's events must be."""
    for event, src in log:
        values = event_row(event, src.partition, src.offset)
        yield {
            column.name: json.loads(value)
            if isinstance(column.type, JsonText) and isinstance(value, str)
            else value
            for column, value in zip(_EVENT_COLUMNS, values, strict=True)
        }


def _neutral(row: Mapping[str, Any]) -> Row:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return value.normalize() if isinstance(value, Decimal) else value
