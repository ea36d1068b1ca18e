"""Writing batches of events to SQL: the fenced writer, the bare driver, and SQLModel.

PostgreSQL runs on this machine without fsync, and its CPU time is not counted. SQLite runs in the
writer's process, so its CPU time is.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Session, create_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.events import events
from benchmarks.measure import Candidate, Measurement, Workload
from schemas.topics import EVENTS_RAW
from sinks.rows import event_row
from sinks.sql.conversion import iso_utc
from sinks.sql.migrate import upgrade
from sinks.sql.statements import Row
from sinks.sql.tables import EventRow, table_of
from sinks.sql.types import JsonText, UtcTime
from sinks.sql.writer import open_writer
from tests.contract.sinks.samples import expect_no_rejection
from tests.fixtures.postgres import LocalPostgres

TITLE = "Writing events to SQL"
_EVENTS = 4_000
#: Fewer events for one commit per event, which is slow.
_EVENTS_WITH_COMMIT = 400
_BATCHES = (500, 2_000)

_COLUMNS = list(table_of(EventRow).columns)
_NAMES = ", ".join(f'"{column.name}"' for column in _COLUMNS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_numbers = count(1)
_DATABASES = ("writer", "driver", "sqlmodel", "per_event")
_COMMIT_PER_EVENT = "SQLModel, one commit per event"

#: Stores a batch of rows, given the offset of the first.
Store = Callable[[Sequence[Any], int], Awaitable[None]]


def _rows(amount: int) -> list[Row]:
    """Return rows of new events."""
    rows = []
    for event in events(amount):
        number = next(_numbers)
        (_, *rest) = event_row(event, 0, number)
        rows.append((str(UUID(int=number << 64)), *rest))
    return rows


def _candidate(name: str, batch: int, store: Store, shape: Callable[[Row], Any]) -> Candidate:
    count_ = _EVENTS_WITH_COMMIT if name == _COMMIT_PER_EVENT else _EVENTS

    async def run() -> Measurement:
        rows = [shape(row) for row in _rows(count_)]
        first = next(_numbers)
        started_at, cpu = time.perf_counter(), time.process_time()
        for start in range(0, len(rows), batch):
            await store(rows[start : start + batch], first + start)
        return Measurement(len(rows), time.perf_counter() - started_at, time.process_time() - cpu)

    return Candidate(name, run)


def _as_objects(row: Row) -> dict[str, Any]:
    """Return a row with datetimes and parsed JSON, for SQLModel."""
    return {
        column.name: _as_object(column, value) for column, value in zip(_COLUMNS, row, strict=True)
    }


def _as_object(column: Any, value: Any) -> Any:
    if value is not None and isinstance(column.type, UtcTime):
        return _EPOCH + timedelta(microseconds=value)
    if value is not None and isinstance(column.type, JsonText):
        return json.loads(value)
    return value


def _for_asyncpg(row: Row) -> Row:
    return tuple(
        _EPOCH + timedelta(microseconds=value) if isinstance(column.type, UtcTime) else value
        for column, value in zip(_COLUMNS, row, strict=True)
    )


def _for_sqlite(row: Row) -> Row:
    stored = (
        iso_utc(value) if isinstance(column.type, UtcTime) else value
        for column, value in zip(_COLUMNS, row, strict=True)
    )
    return tuple(float(value) if type(value).__name__ == "Decimal" else value for value in stored)


async def _writer(stack: AsyncExitStack, url: str) -> Store:
    writer = await open_writer(url, app="bench", cluster_id="bench", should_stop=lambda: False)
    stack.push_async_callback(writer.close)
    await writer.assign(EVENTS_RAW.name, 0)

    async def store(rows: Sequence[Any], begin: int) -> None:
        sourced = list(enumerate(rows, begin))
        end = begin + len(rows)
        await writer.write(EVENTS_RAW.name, 0, end, {EventRow: sourced}, expect_no_rejection)

    return store


def _raw_sqlite(stack: AsyncExitStack, file: Path) -> Store:
    connection = sqlite3.connect(file, isolation_level=None)
    stack.callback(connection.close)
    connection.execute("PRAGMA synchronous = FULL")
    placeholders = ", ".join("?" for _ in _COLUMNS)
    statement = f"INSERT INTO events ({_NAMES}) VALUES ({placeholders}) ON CONFLICT DO NOTHING"  # noqa: S608

    async def store(rows: Sequence[Any], _: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows)
        connection.execute("COMMIT")

    return store


async def _raw_postgres(stack: AsyncExitStack, url: str) -> Store:
    connection = await asyncpg.connect(url)
    stack.push_async_callback(connection.close)
    placeholders = ", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))
    statement = f"INSERT INTO events ({_NAMES}) VALUES ({placeholders}) ON CONFLICT DO NOTHING"  # noqa: S608

    async def store(rows: Sequence[Any], _: int) -> None:
        async with connection.transaction():
            await connection.executemany(statement, rows)

    return store


def _sqlmodel_sqlite(stack: AsyncExitStack, url: str, rows_per_commit: int) -> Store:
    engine = create_engine(url)
    stack.callback(engine.dispose)

    async def store(rows: Sequence[Any], _: int) -> None:
        with Session(engine) as session:
            for begin in range(0, len(rows), rows_per_commit):
                session.add_all([EventRow(**row) for row in rows[begin : begin + rows_per_commit]])
                session.commit()

    return store


def _sqlmodel_postgres(stack: AsyncExitStack, url: str, rows_per_commit: int) -> Store:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    stack.push_async_callback(engine.dispose)

    async def store(rows: Sequence[Any], _: int) -> None:
        async with AsyncSession(engine) as session:
            for begin in range(0, len(rows), rows_per_commit):
                session.add_all([EventRow(**row) for row in rows[begin : begin + rows_per_commit]])
                await session.commit()

    return store


async def _sqlite(stack: AsyncExitStack, folder: Path) -> dict[str, tuple[Store, Any]]:
    files = {name: folder / f"{name}.db" for name in _DATABASES}
    for file in files.values():
        await asyncio.to_thread(upgrade, f"sqlite:///{file}")
    return {
        "headrace": (await _writer(stack, f"sqlite:///{files['writer']}"), tuple),
        "sqlite3, executemany": (_raw_sqlite(stack, files["driver"]), _for_sqlite),
        "SQLModel, add_all": (
            _sqlmodel_sqlite(stack, f"sqlite:///{files['sqlmodel']}", max(_BATCHES)),
            _as_objects,
        ),
        _COMMIT_PER_EVENT: (
            _sqlmodel_sqlite(stack, f"sqlite:///{files['per_event']}", 1),
            _as_objects,
        ),
    }


async def _postgres(stack: AsyncExitStack) -> dict[str, tuple[Store, Any]]:
    server = stack.enter_context(LocalPostgres()).url
    urls = {}
    admin = await asyncpg.connect(server)
    for name in _DATABASES:
        await admin.execute(f"CREATE DATABASE {name}")
        urls[name] = make_url(server).set(database=name).render_as_string(hide_password=False)
        await asyncio.to_thread(upgrade, urls[name])
    await admin.close()
    return {
        "headrace": (await _writer(stack, urls["writer"]), tuple),
        "asyncpg, executemany": (await _raw_postgres(stack, urls["driver"]), _for_asyncpg),
        "SQLModel, add_all": (
            _sqlmodel_postgres(stack, urls["sqlmodel"], max(_BATCHES)),
            _as_objects,
        ),
        _COMMIT_PER_EVENT: (_sqlmodel_postgres(stack, urls["per_event"], 1), _as_objects),
    }


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        engines = {"SQLite": await _sqlite(stack, folder), "PostgreSQL": await _postgres(stack)}
        yield [
            Workload(
                f"{engine}, batches of {batch:,}",
                [_candidate(name, batch, *store) for name, store in stores.items()],
            )
            for engine, stores in engines.items()
            for batch in _BATCHES
        ]
