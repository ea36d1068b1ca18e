"""Records to bytes and back: Avro in the Confluent wire format.

A message is `0x00`, the schema id as four big-endian bytes, then the Avro binary. The ids
stand in `SCHEMA_FILES`, kept by hand and never reused: to change a record, keep the old
schema under a new file name, add the new one under a new id. The newest schema of a record is
read and written by generated code (`avro_code`), older ones are read by fastavro.
"""

import json
import struct
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

import msgspec
from fastavro import parse_schema, schemaless_reader

from schemas import records
from schemas.avro_code.decoder import Decoder, decoder
from schemas.avro_code.encoder import Encoder, encoder
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

R = TypeVar("R", bound=Record)


class CodecError(ValueError):
    """Bytes that are not a record of the expected kind; the message says why."""


class _Coder(NamedTuple):
    """How the newest schema of a record is written and read; `prefix` begins its messages."""

    prefix: bytes
    encode: Encoder
    decode: Decoder


def encode(record: Record) -> bytes:
    """Return the record's message; `ValueError` or `TypeError` when a field is of a wrong kind."""
    coder = _coder(type(record).__name__)
    try:
        return coder.encode(record)
    except (AttributeError, LookupError, struct.error, OverflowError) as error:
        raise TypeError(
            f"a field of a {type(record).__name__} is of a wrong kind: {error}"
        ) from error


def decode(message: bytes, record_type: type[R]) -> R:
    """Read a message of any version of `record_type`; `CodecError` when it is not one."""
    coder = _coder(record_type.__name__)
    return _decode(message, record_type, coder.prefix, coder.decode)


def encoder_of_parts(
    record_type: type[Record], given: Sequence[str], absent: Collection[str]
) -> Encoder:
    """Return an `encode` of what is no record yet, but any object with the fields of one.

    The fields that are `given` are arguments behind it, in this order; those that are `absent`
    are null, or empty lists. To make a record first takes a fifth of what there is to do.
    """
    schema_id = _newest(record_type.__name__)
    return encoder(_schema(schema_id), _PREFIX.pack(0, schema_id), given, absent)


def projection(record_type: type[R], *wanted: str) -> Callable[[bytes], R]:
    """Return a `decode` that reads only these of the fields that have a default.

    The others may keep their default, whatever the message tells, and a text that is passed
    over may be no UTF-8. It takes half the time where few are wanted.
    """
    schema = _schema(_newest(record_type.__name__))
    prefix, read = _coder(record_type.__name__).prefix, decoder(schema, vars(records), wanted)
    return lambda message: _decode(message, record_type, prefix, read)


def _decode(message: bytes, record_type: type[R], prefix: bytes, read: Decoder) -> R:
    if not message.startswith(prefix):
        return _decode_older(message, record_type)
    try:
        (record, end) = read(message, len(prefix))
    except Exception as error:  # whatever the bytes provoke
        raise _not_a(record_type.__name__, error) from error
    if end != len(message):
        raise _bad_end(len(message) - end, record_type.__name__)
    return record  # type: ignore[no-any-return]


def _decode_older(message: bytes, record_type: type[R]) -> R:
    if len(message) < _PREFIX.size or message[0] != 0:
        raise CodecError("not the Confluent wire format: it does not begin with 0x00 and an id")
    (_, schema_id) = _PREFIX.unpack_from(message)
    if schema_id not in SCHEMA_FILES:
        raise CodecError(f"unknown schema id {schema_id}")
    name = _schema(schema_id)["name"]
    if name != record_type.__name__:
        raise CodecError(f"of the schema {name}, not {record_type.__name__}")
    body = BytesIO(message)
    body.seek(_PREFIX.size)
    try:
        fields = schemaless_reader(body, fastavro_schema(schema_id), fastavro_schema(_newest(name)))
        record = msgspec.convert(fields, record_type, builtin_types=(bytes, Decimal))
    except Exception as error:  # fastavro raises whatever the bytes provoke
        raise _not_a(record_type.__name__, error) from error
    if body.tell() != len(message):
        raise _bad_end(len(message) - body.tell(), name)
    return record


def _not_a(name: str, error: Exception) -> CodecError:
    return CodecError(f"not the Avro of a {name}: {error!r}")


def _bad_end(left: int, name: str) -> CodecError:
    if left > 0:
        return CodecError(f"{left} bytes behind the end of the {name}")
    return CodecError(f"not the Avro of a {name}: {-left} bytes are missing")


@cache
def _coder(name: str) -> _Coder:
    schema_id = _newest(name)
    schema, prefix = _schema(schema_id), _PREFIX.pack(0, schema_id)
    return _Coder(prefix, encoder(schema, prefix), decoder(schema, vars(records)))


@cache
def fastavro_schema(schema_id: int) -> Any:
    """Return a schema as fastavro's functions take it."""
    return parse_schema(_schema(schema_id))


@cache
def _schema(schema_id: int) -> Any:
    text = files("schemas").joinpath("avro", SCHEMA_FILES[schema_id]).read_text("utf-8")
    return _without_conversions(json.loads(text))


@cache
def _newest(name: str) -> int:
    for schema_id in sorted(SCHEMA_FILES, reverse=True):
        if _schema(schema_id)["name"] == name:
            return schema_id
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
