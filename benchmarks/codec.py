"""The Avro codec: compiled, its fallback without a C compiler, and fastavro itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.events import events
from benchmarks.measure import Candidate, Workload, function_candidate
from benchmarks.peers import avro
from schemas import avro_fallback, codec
from schemas.records import RawEvent

TITLE = "RawEvent to Avro and back"
_EVENTS = 20_000


def _decoding(name: str, module: Any, messages: list[bytes]) -> Candidate:
    return function_candidate(name, lambda message: module.decode(message, RawEvent), messages)


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    sample = events(_EVENTS)
    messages = [codec.encode(event) for event in sample]
    fallback = codec.Codec(avro_fallback)
    codecs: dict[str, Any] = {
        "headrace": codec,
        "headrace without a C compiler": fallback,
        "fastavro": avro,
    }
    yield [
        Workload(
            "Encode",
            [function_candidate(name, module.encode, sample) for name, module in codecs.items()],
        ),
        Workload("Decode", [_decoding(name, module, messages) for name, module in codecs.items()]),
    ]
