"""Kafka to SQL as in tutorials: a Faust agent, a table of sessions, and SQLModel.

Favours Faust: uvloop, a table in memory, batches of up to 500 events, and a short session timeout.
"""

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import faust
import uvloop
from fastavro import schemaless_reader
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.peers.plain_faust import run_app
from benchmarks.peers.tutorial import SCHEMA


class Event(SQLModel, table=True):
    """A row of an event."""

    __tablename__ = "events"
    event_id: str = Field(primary_key=True)
    type: str
    site_id: str
    session_id: str
    visitor_id: str | None = None
    url: str | None = None
    path: str | None = None
    hostname: str | None = None
    title: str | None = None
    referrer: str | None = None
    language: str | None = None
    user_agent: str | None = None
    screen: str | None = None
    utm: str | None = None


class Visit(SQLModel, table=True):
    """A row of a session."""

    __tablename__ = "visits"
    key: str = Field(primary_key=True)
    events: int
    first_path: str | None = None
    last_path: str | None = None


_TEXTS = set(Event.model_fields) - {"event_id", "screen", "utm"}


def _row(event: dict[str, Any]) -> Event:
    maps = {name: event[name] and json.dumps(event[name]) for name in ("screen", "utm")}
    texts = {name: event[name] for name in _TEXTS}
    return Event(event_id=str(event["event_id"]), **texts, **maps)


async def _store(session: AsyncSession, rows: Sequence[Event], visits: Sequence[Visit]) -> None:
    values = [row.model_dump() for row in rows]
    await session.exec(insert(Event).values(values).on_conflict_do_nothing())
    for visit in visits:
        await session.merge(visit)
    await session.commit()


def _app(engine: AsyncEngine) -> faust.App:
    app = faust.App(
        "visits",
        broker=f"kafka://{os.environ['KAFKA']}",
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=10,
        topic_partitions=4,
        datadir=os.environ["DATA"],
    )
    topic = os.environ["TOPIC"]
    source = app.topic(topic, key_type=bytes, value_type=bytes, value_serializer="raw")
    # With the partitioner, because `take` yields no events, whose partition would be used.
    visits = app.Table("visits", default=dict, key_type=str, partitions=4, use_partitioner=True)

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def store(stream: Any) -> None:
        async for values in stream.take(500, within=0.1):
            events = [schemaless_reader(BytesIO(value), SCHEMA, None) for value in values]
            changed = {}
            for event in events:
                key = f"{event['site_id']}:{event['session_id']}"
                visit = visits[key] or {"events": 0, "first_path": event["path"]}
                visits[key] = {**visit, "events": visit["events"] + 1, "last_path": event["path"]}
                changed[key] = Visit(key=key, **visits[key])
            async with AsyncSession(engine) as session:
                await _store(session, [_row(event) for event in events], list(changed.values()))

    return app


async def main() -> None:
    """Run the worker."""
    logging.basicConfig(level=logging.WARNING)  # logs why the agent crashed
    engine = create_async_engine(os.environ["DATABASE"])
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await run_app(_app(engine))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
