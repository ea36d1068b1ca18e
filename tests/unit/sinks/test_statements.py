"""Generated upsert statements."""

import sqlite3
from decimal import Decimal

import pytest
from sqlalchemy import Table

from sinks.sql.statements import (
    create_postgres_types,
    encoding_of,
    postgres_insert,
    sqlite_insert,
    sqlite_rows,
)
from sinks.sql.tables import METADATA, EventRow, SessionRow, table_of
from tests.contract.sinks.samples import event_at, visit_at

_TABLES = METADATA.sorted_tables


@pytest.mark.parametrize("table", _TABLES, ids=lambda table: table.name)
def test_every_table_can_be_written_and_its_key_comes_first(table: Table) -> None:
    """A new column type needs an encoding."""
    keys = [column.name for column in table.primary_key]

    assert all(encoding_of(column).pg_type for column in table.columns)
    assert table.columns.keys()[: len(keys)] == keys
    assert sqlite_insert(table).count("?") == len(table.columns)
    made = create_postgres_types([table])
    assert made.startswith(f"CREATE TYPE pg_temp.{table.name}_row AS (")
    assert all(f'"{column.name}" ' in made for column in table.columns)
    assert f"unnest($1::pg_temp.{table.name}_row[])" in postgres_insert(table)


def test_facts_are_kept_and_newer_revisions_overwrite() -> None:
    """In the statements of both engines."""
    for insert in (sqlite_insert, postgres_insert):
        assert insert(table_of(EventRow)).endswith(
            "ON CONFLICT (event_id, site_id, session_id) DO NOTHING"
        )
        upsert = insert(table_of(SessionRow))
        assert upsert.endswith("WHERE excluded.revision > sessions.revision")
        assert 'SET "visitor_id" = excluded."visitor_id", ' in upsert  # not the constant columns


def test_sqlite_receives_only_native_types() -> None:
    """sqlite3 needs no adapters for them."""
    for model, (_, row) in ((EventRow, event_at(0)), (SessionRow, visit_at(0, "v", 1))):
        (stored,) = sqlite_rows(table_of(model), [row])
        assert {type(value) for value in stored} <= {str, int, float}
        assert not any(isinstance(value, bool | Decimal) for value in stored)


@pytest.mark.parametrize("kind", ["INTEGER", "REAL", "TEXT", "BLOB"])
def test_sqlite_stores_nulls_as_null(kind: str) -> None:
    """In columns of every type, although NaN is bound."""
    events = table_of(EventRow)
    (row,) = sqlite_rows(events, [(None,) * len(events.columns)])
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE one (value {kind}) STRICT")
    connection.executemany("INSERT INTO one VALUES (?)", [(value,) for value in row])

    stored = connection.execute("SELECT DISTINCT value, typeof(value) FROM one").fetchall()
    connection.close()

    assert stored == [(None, "null")]
