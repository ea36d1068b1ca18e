"""An event's Avro, by generated code and by fastavro."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from io import BytesIO

import msgspec
from fastavro import schemaless_reader, schemaless_writer

from benchmarks.events import events
from benchmarks.measure import Work, called
from schemas import codec
from schemas.records import RawEvent

TITLE = "RawEvent to Avro and back"
_EVENTS = 20_000
_RAW_EVENT = 1  # its schema id


@asynccontextmanager
async def works() -> AsyncIterator[list[Work]]:
    """Give the works of this benchmark."""
    schema = codec.fastavro_schema(_RAW_EVENT)

    def fast_encode(event: RawEvent) -> bytes:
        out = BytesIO()
        out.write(b"\0\0\0\0\1")
        fields = msgspec.to_builtins(event, builtin_types=(bytes, Decimal))
        schemaless_writer(out, schema, fields)
        return out.getvalue()

    def fast_decode(message: bytes) -> RawEvent:
        body = BytesIO(message)
        body.seek(5)
        fields = schemaless_reader(body, schema, None)
        return msgspec.convert(fields, RawEvent, builtin_types=(bytes, Decimal))

    some = events(_EVENTS)
    messages = [codec.encode(event) for event in some]
    yield [
        Work(
            "Encode",
            [called("headrace", codec.encode, some), called("fastavro", fast_encode, some)],
        ),
        Work(
            "Decode",
            [
                called("headrace", lambda message: codec.decode(message, RawEvent), messages),
                called("fastavro", fast_decode, messages),
            ],
        ),
    ]
