"""The rows of the database with neutral values: times in microseconds, JSON decoded."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import SQLModel

from sinks.sql.tables import table_of
from tests.e2e.stack import Stack
from tests.reference import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows_of(stack: Stack, model: type[SQLModel]) -> list[Row]:
    """Return all rows of a table."""
    return [_neutral(row) for row in stack.select(table_of(model).select())]


def view_rows(stack: Stack, name: str) -> list[Row]:
    """Return all rows of a view; times have the engine's type."""
    return [_neutral(row) for row in stack.select(text(f"SELECT * FROM {name}"))]  # noqa: S608


def _neutral(row: Mapping[str, Any]) -> Row:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return value
