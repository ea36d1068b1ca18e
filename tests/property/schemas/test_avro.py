"""Both codecs compared with fastavro, the reference implementation of Avro."""

import json
import struct
import tracemalloc
from contextlib import suppress
from decimal import Decimal
from importlib.resources import files
from io import BytesIO
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import SCHEMA_FILES, Codec, CodecError, ids_of
from schemas.records import RawEvent, Record
from tests.contract.schemas.record_examples import MAKERS
from tests.property.schemas.any_records import RECORDS, any_record
from tests.property.schemas.codecs import CODECS, each_codec

#: fastavro decodes these to datetime and UUID objects.
_LOGICAL_TYPES = {"timestamp-micros", "timestamp-millis", "uuid"}
_PREFIX_BYTES = 5


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("logicalType") in _LOGICAL_TYPES:
        return schema["type"]
    return {key: _plain(value) for key, value in schema.items()}


SCHEMAS: dict[int, Any] = {
    number: _plain(json.loads(files("schemas").joinpath("avro", file).read_bytes()))
    for number, file in SCHEMA_FILES.items()
}
PARSED = {number: parse_schema(schema) for number, schema in SCHEMAS.items()}
IDS = {record_type.__name__: ids_of(record_type.__name__) for record_type in RECORDS}
NEWEST = {name: schema_ids[-1] for name, schema_ids in IDS.items()}
REQUIRED = [info.name for info in msgspec.structs.fields(RawEvent) if info.required]
OPTIONAL = [name for name in RawEvent.__struct_fields__ if name not in REQUIRED]


def written(record: Record, schema_id: int) -> bytes:
    """Return the message that fastavro writes with a schema."""
    out = BytesIO()
    out.write(struct.pack(">bI", 0, schema_id))
    fields = msgspec.to_builtins(record, builtin_types=(bytes, Decimal))
    schemaless_writer(out, PARSED[schema_id], fields)
    return out.getvalue()


def read(message: bytes, record_type: type[Record]) -> tuple[Record, int]:
    """Return the record that fastavro decodes, and the length of the message."""
    (_, schema_id) = struct.unpack_from(">bI", message)
    body = BytesIO(message)
    body.seek(_PREFIX_BYTES)
    newest = PARSED[NEWEST[record_type.__name__]]
    fields = schemaless_reader(body, PARSED[schema_id], newest)
    record = msgspec.convert(fields, record_type, builtin_types=(bytes, Decimal))
    return record, body.tell()


# Hypothesis takes longer to make a record than the codecs to use it: each is tried with both
# codecs and all schemas.


@pytest.mark.parametrize("record_type", RECORDS)
@given(data=st.data())
def test_encoding_and_decoding_equal_those_of_fastavro(
    record_type: type[Record], data: st.DataObject
) -> None:
    """Byte for byte. With earlier schemas, fields that a schema lacks have their default."""
    record = data.draw(RECORDS[record_type])
    messages = {schema_id: written(record, schema_id) for schema_id in IDS[record_type.__name__]}
    newest = messages[NEWEST[record_type.__name__]]

    for codec in CODECS.values():
        assert codec.encode(record) == newest
        assert codec.decode(newest, record_type) == record
        for message in messages.values():
            assert (codec.decode(message, record_type), len(message)) == read(message, record_type)


@given(any_record, st.data())
def test_decoding_of_damaged_bytes_equals_that_of_fastavro(
    record: Record, data: st.DataObject
) -> None:
    """Or raises `CodecError`, also where fastavro is lenient."""
    damaged = bytearray(written(record, NEWEST[type(record).__name__]))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(_PREFIX_BYTES, len(damaged) - 1))] = data.draw(
            st.integers(0, 255)
        )
    message = bytes(damaged)
    for codec in CODECS.values():
        with suppress(CodecError):
            decoded = codec.decode(message, type(record))  # fastavro accepts an int of any size
            assert codec.encode(decoded) == codec.encode(read(message, type(record))[0])


@given(RECORDS[RawEvent], st.sets(st.sampled_from(OPTIONAL)), st.data())
def test_a_projection_decodes_required_and_projected_fields(
    event: RawEvent, projected: set[str], data: st.DataObject
) -> None:
    """The others have their default; malformed bytes are rejected."""
    message = written(event, NEWEST["RawEvent"])
    defaults = RawEvent(**{name: getattr(event, name) for name in REQUIRED})
    end = data.draw(st.integers(0, len(message) - 1))

    for codec in CODECS.values():
        decode = codec.projection(RawEvent, *projected)
        decoded = decode(message)
        for name in RawEvent.__struct_fields__:
            expected = event if name in projected else defaults
            assert getattr(decoded, name) == getattr(expected, name)
        for broken in (message[:end], message + b"x"):
            with pytest.raises(CodecError):
                decode(broken)


@each_codec
def test_an_unknown_field_of_a_projection_is_rejected(codec: Codec) -> None:
    """And of an encoder."""
    with pytest.raises(ValueError, match="RawEvent has no field pth"):
        codec.projection(RawEvent, "pth", "url")
    with pytest.raises(ValueError, match="RawEvent has no field pth"):
        codec.make_encoder(RawEvent, ["pth"], nulls={"url"})


@each_codec
@pytest.mark.parametrize("name", MAKERS)
def test_a_truncated_message_is_rejected(codec: Codec, name: str) -> None:
    """At any length, also within a string."""
    record = MAKERS[name]()
    message = codec.encode(record)
    for end in range(len(message)):
        with pytest.raises(CodecError):
            codec.decode(message[:end], type(record))


def event(**encoded: bytes) -> bytes:
    """Return the message of an event with these encoded fields; the others are minimal."""
    required = dict.fromkeys(("event_id", "type", "site_id", "session_id"), b"\2x")
    fields = (field["name"] for field in SCHEMAS[1]["fields"])
    body = b"".join({**required, **encoded}.get(name, b"\0") for name in fields)
    return struct.pack(">bI", 0, 1) + body


HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"

BROKEN = {
    "an unknown branch of a union": event(title=b"\4\2x"),
    "a negative branch of a union": event(title=b"\1"),
    "a branch of a union in two bytes": event(title=b"\x82\0\2x"),
    "an unknown symbol": event(time_source=b"\6"),
    "a negative symbol": event(time_source=b"\1"),
    "a string of negative length": event(type=b"\1"),
    "a string of a length near 2^63": event(type=HUGE),
    "a string beyond the end": event(extra=b"\2\x7ex"),
    "a string that is not UTF-8": event(type=b"\2\xff"),
    "a string with a lone surrogate": event(type=b"\6\xed\xa0\x80"),
    "a number of eleven bytes": event(event_ts=b"\x80" * 10 + b"\1"),
    "a number of 65 bits": event(event_ts=b"\xff" * 9 + b"\3"),
    "a number without an end": event()[:20] + b"\xff" * 10_000,
    "an array of 2^62 items": event(truncated=HUGE),
    "an array of -2^62 items": event(truncated=b"\xff" * 9 + b"\1\0"),
    "an empty block encoded in two bytes": event(truncated=b"\x80\0"),
    "a block longer than its size": event(truncated=b"\3\6\2a\2b\0"),
    "a block shorter than its size": event(truncated=b"\3\x0a\2a\2b\0"),
    "a map of 2^62 items": event(vitals=b"\2" + HUGE),
    "half a floating point number": event(screen=b"\2\0\0\0\0\2\0\0\0\0")[:-14],
    "an amount of 26 digits": event(amount=b"\2\x16" + (10**25).to_bytes(11, "big")),
    "an amount of a million digits": event(amount=b"\2\xc0\xb4\x4d" + b"\x7f" * 634_400),
}


@each_codec
@pytest.mark.parametrize("name", BROKEN)
def test_a_malformed_message_is_rejected(codec: Codec, name: str) -> None:
    """With `CodecError`, and without allocating memory according to an invalid length."""
    message = BROKEN[name]
    codec.decode(event(), RawEvent)  # compiles the schema
    tracemalloc.start()
    with pytest.raises(CodecError):
        codec.decode(message, RawEvent)
    (_, peak) = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 100_000 + 4 * len(message)


@each_codec
@pytest.mark.parametrize("name", BROKEN)
def test_skipped_fields_are_checked(codec: Codec, name: str) -> None:
    """Except that strings are UTF-8."""
    with pytest.raises(CodecError):
        codec.projection(RawEvent)(BROKEN[name])


@each_codec
def test_blocks_may_have_a_size(codec: Codec) -> None:
    """Some writers use a negative count and a size in bytes, or several blocks."""
    vitals = b"\2" + b"\1\x18\6lcp" + struct.pack("<d", 2.5) + b"\2\6cls" + bytes(8) + b"\0"
    message = event(truncated=b"\3\x08\2a\2b\2\2c\0", vitals=vitals)
    decoded = codec.decode(message, RawEvent)

    assert decoded.truncated == ["a", "b", "c"]
    assert decoded.vitals == {"lcp": 2.5, "cls": 0.0}
    assert decoded == read(message, RawEvent)[0]
    assert codec.projection(RawEvent, "truncated")(message).truncated == decoded.truncated
