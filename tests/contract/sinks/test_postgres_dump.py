"""Dumps of a PostgreSQL database replace its tables in one transaction."""

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from headrace.errors import UserError
from headrace.ops.backup import postgres
from schemas.settings import DatabaseSettings
from sinks.sql.migrate import check
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow
from tests.contract.sinks.audited import Pipeline, clickstream
from tests.contract.sinks.samples import contents, execute

_MODELS: tuple[type[SQLModel], ...] = (EventRow, SessionRow, PageDurationRow, AlertRow)


async def _all(url: str) -> dict[str, list[dict[str, Any]]]:
    return {str(model.__tablename__): await contents(url, model) for model in _MODELS}


async def test_a_dump_restores_all_rows_or_nothing(
    migrated_postgres_url: str,
    postgres_path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the statements that belong to it; a failure leaves the database as it was."""
    monkeypatch.setenv("PATH", postgres_path)
    url, copy = migrated_postgres_url, tmp_path / "dump"
    database = DatabaseSettings(url=url)
    log = clickstream(300, seed=3)
    pipeline = Pipeline(url)
    await pipeline.process(log[:200])
    before = await _all(url)
    found = await postgres.dump(database, copy)
    assert (found.rows["events"], found.schema) == (len(before["events"]), "public")

    await pipeline.process(log[200:])
    after = await _all(url)
    assert after != before
    with pytest.raises(UserError, match=r"psql failed on postgresql://.*no_such_table"):
        await postgres.replace(database, copy, ["UPDATE public.no_such_table SET x = 1"])
    assert await _all(url) == after

    await postgres.replace(database, copy, ["UPDATE public.alerts SET title = 'changed'"])
    restored = await _all(url)
    assert {row["title"] for row in restored.pop("alerts")} == {"changed"}
    assert restored == {name: rows for name, rows in before.items() if name != "alerts"}
    assert check(url) == []


async def test_a_view_of_others_is_not_dropped(
    migrated_postgres_url: str,
    postgres_path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The restore is rejected with its name."""
    monkeypatch.setenv("PATH", postgres_path)
    database = DatabaseSettings(url=migrated_postgres_url)
    await postgres.dump(database, tmp_path / "dump")
    await execute(migrated_postgres_url, "CREATE VIEW theirs AS SELECT site_id FROM events")

    with pytest.raises(UserError, match="theirs"):
        await postgres.replace(database, tmp_path / "dump", [])


async def test_missing_programs_are_named(
    migrated_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UserError, match="pg_dump is not installed"):
        await postgres.dump(DatabaseSettings(url=migrated_postgres_url), tmp_path / "dump")
