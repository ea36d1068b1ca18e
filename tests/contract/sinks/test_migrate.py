"""Migrations, and the comparison of a database with the models, on both engines."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from headrace.admin.database import run_once, upgrade_database
from headrace.errors import UserError
from schemas.settings import DatabaseSettings
from sinks.sql.migrate import check, upgrade
from sinks.sql.tables import METADATA, VIEWS, EventRow, TokenRow
from tests.contract.sinks import samples
from tests.contract.sinks.samples import TOPIC, event_at, expect_no_rejection


def test_a_migrated_database_matches_the_models(empty_url: str) -> None:
    """Before the migration, differences are reported."""
    before = check(empty_url)
    upgrade(empty_url)

    assert "headrace db upgrade" in before[0]
    assert check(empty_url) == []


async def test_upgrading_again_keeps_the_rows(database_url: str) -> None:
    """While an event loop is running, as in a worker."""
    writer = await samples.open_for_test(database_url)
    await writer.assign(TOPIC, 0)
    await writer.write(TOPIC, 0, 1, {EventRow: [event_at(0)]}, expect_no_rejection)
    await writer.close()

    upgrade(database_url)

    assert check(database_url) == []
    assert len(await samples.contents(database_url, EventRow)) == 1


async def test_tokens_from_before_scopes_keep_their_rights(empty_url: str) -> None:
    """They have `manage`; tokens that an older process inserts get `read`."""

    async def insert(number: int) -> None:
        row = "'00000000-0000-4000-8000-00000000000{0}', 'hash {0}', '', '\"*\"', '{1}'"
        values = row.format(number, "2026-01-01T00:00:00.000000Z")
        columns = "token_id, token_hash, name, sites, created_at"
        await samples.execute(empty_url, f"INSERT INTO tokens ({columns}) VALUES ({values})")  # noqa: S608

    await samples.migrate_to(empty_url, "0002")
    await insert(1)
    upgrade(empty_url)
    await insert(2)

    rows = await samples.contents(empty_url, TokenRow)

    assert {row["token_hash"]: row["scope"] for row in rows} == {
        "hash 1": "manage",
        "hash 2": "read",
    }


def test_concurrent_upgrades_are_serialized(empty_url: str) -> None:
    """As of `up` and `db upgrade`."""
    program = "import sys; from sinks.sql.migrate import upgrade; upgrade(sys.argv[1])"
    argv = [sys.executable, "-c", program, empty_url]
    starters = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [starter.communicate(timeout=60)[1] for starter in starters]

    assert [starter.returncode for starter in starters] == [0] * 4, errors
    assert check(empty_url) == []


async def test_an_empty_database_lacks_each_table_and_view(empty_url: str) -> None:
    """One sentence each, without columns and indexes."""
    upgrade(empty_url)
    await samples.execute(
        empty_url,
        *(f"DROP VIEW {view}" for view in VIEWS),
        *(f"DROP TABLE {table}" for table in METADATA.tables),
    )

    missing = [f"missing: table {table}" for table in METADATA.tables]
    missing += [f"missing: view {view}" for view in VIEWS]
    assert sorted(await asyncio.to_thread(check, empty_url)) == sorted(missing)


_SEQUENCE_COLUMNS = (
    "name TEXT NOT NULL, last_seq BIGINT NOT NULL, CONSTRAINT pk_alert_sequence PRIMARY KEY (name)"
)
_CHANGES = {
    "a dropped index": (
        ["DROP INDEX ix_sessions_site_id_started_at"],
        "missing: index ix_sessions_site_id_started_at of sessions",
    ),
    "an index that the models have not": (
        ["CREATE INDEX mine ON events (type)"],
        "not in the models: index mine of events",
    ),
    "an index with a condition": (
        [
            "DROP INDEX ix_events_site_id_event_ts",
            "CREATE INDEX ix_events_site_id_event_ts ON events (site_id, event_ts) WHERE url = ''",
        ],
        "differs: index ix_events_site_id_event_ts of events",
    ),
    "an index that is not unique": (
        [
            "DROP INDEX ix_alerts_site_id_seq",
            "CREATE INDEX ix_alerts_site_id_seq ON alerts (site_id, seq)",
        ],
        "differs: index ix_alerts_site_id_seq of alerts",
    ),
    "a changed view": (
        [
            "DROP VIEW page_durations_hourly",
            "CREATE VIEW page_durations_hourly AS SELECT site_id, path FROM page_durations",
        ],
        "differs: view page_durations_hourly",
    ),
    "a dropped view": (
        ["DROP VIEW page_durations_hourly"],
        "missing: view page_durations_hourly",
    ),
    "a missing column": (
        ["ALTER TABLE events DROP COLUMN currency"],
        "missing: column currency of events",
    ),
    "a column that the models have not": (
        ["ALTER TABLE alerts ADD COLUMN mine TEXT"],
        "not in the models: column mine of alerts",
    ),
    "a missing table": (["DROP TABLE alerts"], "missing: table alerts"),
    "a table without its key": (
        [
            "DROP TABLE alert_sequence",
            "CREATE TABLE alert_sequence (name TEXT NOT NULL, last_seq BIGINT NOT NULL)",
        ],
        "missing: primary key of alert_sequence",
    ),
    "a CHECK": (
        [
            "DROP TABLE alert_sequence",
            f"CREATE TABLE alert_sequence ({_SEQUENCE_COLUMNS}, CONSTRAINT mine CHECK (name > ''))",
        ],
        "not in the models: check mine of alert_sequence",
    ),
    "another revision": (
        ["UPDATE alembic_version SET version_num = '0000'"],
        "The database is at revision 0000",
    ),
}


@pytest.mark.parametrize("what", _CHANGES)
async def test_a_difference_is_reported(database_url: str, what: str) -> None:
    """Including those that Alembic's comparison ignores."""
    statements, sentence = _CHANGES[what]
    await samples.execute(database_url, *statements)

    found = await asyncio.to_thread(check, database_url)

    assert any(line.startswith(sentence) for line in found), found


async def test_other_tables_are_ignored(database_url: str) -> None:
    """The database may contain more than headrace's tables."""
    await samples.execute(database_url, "CREATE TABLE mine (id INTEGER PRIMARY KEY)")

    assert check(database_url) == []


def test_a_sqlite_table_that_is_not_strict_is_reported(tmp_path: Path) -> None:
    """It would accept values of any type."""
    url = f"sqlite:///{tmp_path}/headrace.db"
    upgrade(url)
    asyncio.run(
        samples.execute(
            url,
            "DROP TABLE alert_sequence",
            "CREATE TABLE alert_sequence (name TEXT NOT NULL, last_seq INTEGER NOT NULL,"
            " CONSTRAINT pk_alert_sequence PRIMARY KEY (name))",
        )
    )

    assert check(url) == ["differs: table alert_sequence is (not STRICT), the models say (STRICT)"]


def test_a_failed_migration_is_rolled_back(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on SQLite, whose DDL is transactional."""
    real = command.upgrade

    def upgrade_and_fail(*args: object) -> None:
        real(*args)  # type: ignore[arg-type] # passed through
        raise RuntimeError("killed")

    monkeypatch.setattr(command, "upgrade", upgrade_and_fail)
    with pytest.raises(RuntimeError, match="killed"):
        upgrade(empty_url)

    assert check(empty_url)[0].startswith("The database is at revision none")
    assert "missing: table events" in check(empty_url)


async def test_a_database_of_a_later_version_needs_that_version(database_url: str) -> None:
    """It is not changed."""
    database = DatabaseSettings(url=database_url)
    later = text("UPDATE alembic_version SET version_num = '9999'")
    await run_once(database, lambda connection: connection.execute(later))

    with pytest.raises(UserError, match="the schema of a later version of headrace: install that"):
        upgrade_database(database)
    assert check(database_url)[0].endswith("install the later version")
