"""An event's Avro: the compiled codec, the one without a C compiler, and fastavro itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.events import events
from benchmarks.measure import Candidate, Work, called
from benchmarks.peers import avro
from schemas import avro_fallback, codec
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
    fallback = codec.Codec(avro_fallback)
    ways: dict[str, Any] = {
        "headrace": codec,
        "headrace without a C compiler": fallback,
        "fastavro": avro,
    }
    yield [
        Work("Encode", [called(name, by.encode, some) for name, by in ways.items()]),
        Work("Decode", [_decoding(name, by, messages) for name, by in ways.items()]),
    ]
