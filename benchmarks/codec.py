"""An event's Avro, by generated code and by fastavro."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.events import events
from benchmarks.measure import Candidate, Work, called
from benchmarks.peers import avro
from schemas import codec
from schemas.records import RawEvent

TITLE = "RawEvent to Avro and back"
_EVENTS = 20_000


def _decoding(name: str, by: Any, messages: list[bytes]) -> Candidate:
    return called(name, lambda message: by.decode(message, RawEvent), messages)


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    some = events(_EVENTS)
    messages = [codec.encode(event) for event in some]
    ways: dict[str, Any] = {"headrace": codec, "fastavro": avro}
    yield [
        Work("Encode", [called(name, by.encode, some) for name, by in ways.items()]),
        Work("Decode", [_decoding(name, by, messages) for name, by in ways.items()]),
    ]
