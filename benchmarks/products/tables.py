"""The table of events for peers that do not create one."""

import asyncio

import asyncpg

_TEXTS = ("type", "site_id", "session_id", "visitor_id", "url", "path", "hostname", "title")
_MORE = ("referrer", "language", "user_agent", "screen", "utm", "properties")
_EVENTS = f"""
CREATE TABLE events (
    event_id text PRIMARY KEY,
    {", ".join(f"{name} text" for name in (*_TEXTS, *_MORE))},
    stored_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON events (site_id, session_id);
"""


def create_events_table(url: str) -> None:
    """Create the table in a PostgreSQL database."""

    async def create() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(_EVENTS)
        await connection.close()

    asyncio.run(create())
