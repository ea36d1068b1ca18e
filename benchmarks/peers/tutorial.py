"""HTTP to Kafka as in tutorials: FastAPI, a pydantic model, fastavro, `send_and_wait`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI
from fastavro import parse_schema, schemaless_writer
from pydantic import BaseModel, Field

_TEXTS = ("visitor_id", "user_id", "url", "path", "hostname", "title", "referrer", "language")
SCHEMA = parse_schema(
    {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": "event_id", "type": {"type": "string", "logicalType": "uuid"}},
            {"name": "received_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            *({"name": name, "type": "string"} for name in ("type", "site_id", "session_id")),
            *({"name": name, "type": ["null", "string"]} for name in (*_TEXTS, "user_agent")),
            {"name": "timestamp", "type": ["null", "string"]},
            {"name": "duration", "type": ["null", "double"]},
            *(
                {"name": name, "type": ["null", {"type": "map", "values": kind}]}
                for name, kind in (
                    ("screen", "double"),
                    ("utm", "string"),
                    ("ad_click_ids", "string"),
                    ("vitals", "double"),
                )
            ),
        ],
    }
)


class Event(BaseModel):
    """The fields of the API, without its limits."""

    event_id: UUID = Field(default_factory=uuid4)
    type: str
    site_id: str
    session_id: str
    visitor_id: str | None = None
    user_id: str | None = None
    url: str | None = None
    path: str | None = None
    hostname: str | None = None
    title: str | None = None
    referrer: str | None = None
    language: str | None = None
    user_agent: str | None = None
    timestamp: str | None = None
    duration: float | None = None
    screen: dict[str, float] | None = None
    utm: dict[str, str] | None = None
    ad_click_ids: dict[str, str] | None = None
    vitals: dict[str, float] | None = None


producer: Any = None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Connect the producer."""
    global producer  # noqa: PLW0603 - as in tutorials
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA"], acks="all")
    await producer.start()
    yield
    await producer.stop()


app = FastAPI(lifespan=lifespan)


async def _send(event: Event) -> None:
    out = BytesIO()
    schemaless_writer(out, SCHEMA, {**event.model_dump(), "received_at": datetime.now(UTC)})
    key = f"{event.site_id}:{event.session_id}".encode()
    await producer.send_and_wait(os.environ["TOPIC"], out.getvalue(), key=key)


@app.post("/api/event", status_code=202)
async def accept(event: Event) -> dict[str, Any]:
    """Accept one event."""
    await _send(event)
    return {"status": "accepted", "event_id": event.event_id}


@app.post("/api/events", status_code=202)
async def accept_batch(events: list[Event]) -> dict[str, Any]:
    """Accept a batch."""
    await asyncio.gather(*map(_send, events))
    return {"accepted": len(events), "results": [{"event_id": event.event_id} for event in events]}
