"""Records to bytes and back: Avro in the Confluent wire format.

A message is `0x00`, the schema id as four big-endian bytes, then the Avro binary. The ids
stand in `SCHEMA_FILES`, kept by hand and never reused: to change a record, keep the old
schema under a new file name, add the new one under a new id.
"""

import json
import struct
from decimal import Decimal
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, TypeVar

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas.records import Record

SCHEMA_FILES: dict[int, str] = {
    1: "raw_event.avsc",
    2: "session_state.avsc",
    3: "page_duration.avsc",
    4: "alert_state.avsc",
    5: "alert.avsc",
    6: "live_counters.avsc",
    7: "subscription.avsc",
    8: "alert.v2.avsc",
    9: "live_counters.v2.avsc",
    10: "replay.avsc",
}

_PREFIX = struct.Struct(">bI")
# fastavro would make datetime and UUID objects of these, which cost and gain nothing.
_CONVERTED = {"timestamp-micros", "timestamp-millis", "uuid"}

#: Kept as they are on the way between records and fastavro.
_KEPT = (bytes, Decimal)

R = TypeVar("R", bound=Record)


class CodecError(ValueError):
    """Bytes that are not a record of the expected kind; the message says why."""


def encode(record: Record) -> bytes:
    """Return the record's message; `ValueError` or `TypeError` when a field is of a wrong kind."""
    schema_id, schema = _current(type(record).__name__)
    out = BytesIO()
    out.write(_PREFIX.pack(0, schema_id))
    try:
        schemaless_writer(out, schema, msgspec.to_builtins(record, builtin_types=_KEPT))
    except OverflowError as error:  # of integers outside unions; inside them it is a ValueError
        raise ValueError(f"a number is too large: {error}") from error
    return out.getvalue()


def decode(message: bytes, record_type: type[R]) -> R:
    """Read a message of any version of `record_type`; `CodecError` when it is not one."""
    if len(message) < _PREFIX.size or message[0] != 0:
        raise CodecError("not the Confluent wire format: it does not begin with 0x00 and an id")
    (_, schema_id) = _PREFIX.unpack_from(message)
    if schema_id not in SCHEMA_FILES:
        raise CodecError(f"unknown schema id {schema_id}")
    writer, name = _schema(schema_id)
    if name != record_type.__name__:
        raise CodecError(f"of the schema {name}, not {record_type.__name__}")
    (_, reader) = _current(name)
    body = BytesIO(message)
    body.seek(_PREFIX.size)
    try:
        fields = schemaless_reader(body, writer, reader)
        record = msgspec.convert(fields, record_type, builtin_types=_KEPT)
    except Exception as error:  # fastavro raises whatever the bytes provoke
        raise CodecError(f"not the Avro of a {name}: {error!r}") from error
    if body.tell() != len(message):
        raise CodecError(f"{len(message) - body.tell()} bytes behind the end of the {name}")
    return record


@cache
def _schema(schema_id: int) -> tuple[Any, str]:
    text = files("schemas").joinpath("avro", SCHEMA_FILES[schema_id]).read_text("utf-8")
    plain = _without_conversions(json.loads(text))
    return parse_schema(plain), plain["name"]


@cache
def _current(name: str) -> tuple[int, Any]:
    for schema_id in sorted(SCHEMA_FILES, reverse=True):
        schema, found = _schema(schema_id)
        if found == name:
            return schema_id, schema
    raise CodecError(f"no schema for {name}")


def _without_conversions(schema: Any) -> Any:
    """Drop the logical types of times and ids: same bytes, but integers and text in Python."""
    if isinstance(schema, list):
        return [_without_conversions(part) for part in schema]
    if isinstance(schema, dict):
        if schema.get("logicalType") in _CONVERTED:
            return schema["type"]
        return {key: _without_conversions(value) for key, value in schema.items()}
    return schema
