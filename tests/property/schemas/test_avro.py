"""Both codecs beside fastavro's own functions, which know Avro and nothing of us."""

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

from schemas.codec import SCHEMA_FILES, Codec, CodecError
from schemas.records import RawEvent, Record
from tests.contract.schemas.record_examples import MAKERS
from tests.property.schemas.any_records import RECORDS, any_record
from tests.property.schemas.codecs import each_codec

#: fastavro would make datetime and UUID objects of these.
_CONVERTED = {"timestamp-micros", "timestamp-millis", "uuid"}
_PREFIX_BYTES = 5


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("logicalType") in _CONVERTED:
        return schema["type"]
    return {key: _plain(value) for key, value in schema.items()}


SCHEMAS: dict[int, Any] = {
    number: _plain(json.loads(files("schemas").joinpath("avro", file).read_bytes()))
    for number, file in SCHEMA_FILES.items()
}
PARSED = {number: parse_schema(schema) for number, schema in SCHEMAS.items()}
NEWEST = {schema["name"]: number for number, schema in sorted(SCHEMAS.items())}
MUST = [info.name for info in msgspec.structs.fields(RawEvent) if info.required]
OPTIONAL = [name for name in RawEvent.__struct_fields__ if name not in MUST]


def written(record: Record, schema_id: int) -> bytes:
    """Return a record's message as fastavro writes it, with one version of its schema."""
    out = BytesIO()
    out.write(struct.pack(">bI", 0, schema_id))
    fields = msgspec.to_builtins(record, builtin_types=(bytes, Decimal))
    schemaless_writer(out, PARSED[schema_id], fields)
    return out.getvalue()


def read(message: bytes, record_type: type[Record]) -> tuple[Record, int]:
    """Return what fastavro reads of a message, and how many bytes that took."""
    (_, schema_id) = struct.unpack_from(">bI", message)
    body = BytesIO(message)
    body.seek(_PREFIX_BYTES)
    newest = PARSED[NEWEST[record_type.__name__]]
    fields = schemaless_reader(body, PARSED[schema_id], newest)
    record = msgspec.convert(fields, record_type, builtin_types=(bytes, Decimal))
    return record, body.tell()


@each_codec
@given(any_record)
def test_what_is_written_is_what_fastavro_writes(codec: Codec, record: Record) -> None:
    """Byte for byte: other readers of the topics see no difference."""
    assert codec.encode(record) == written(record, NEWEST[type(record).__name__])


@each_codec
@pytest.mark.parametrize("schema_id", SCHEMA_FILES)
@given(data=st.data())
def test_what_fastavro_writes_is_read_as_fastavro_reads_it(
    codec: Codec, schema_id: int, data: st.DataObject
) -> None:
    """Of every version of every schema; what a version lacks has its default."""
    record_type = next(one for one in RECORDS if one.__name__ == SCHEMAS[schema_id]["name"])
    message = written(data.draw(RECORDS[record_type]), schema_id)

    assert (codec.decode(message, record_type), len(message)) == read(message, record_type)


@each_codec
@given(any_record, st.data())
def test_what_is_read_of_damaged_bytes_is_what_fastavro_reads(
    codec: Codec, record: Record, data: st.DataObject
) -> None:
    """Or it is refused; what is less than strict Avro, which fastavro may take, is."""
    damaged = bytearray(codec.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(_PREFIX_BYTES, len(damaged) - 1))] = data.draw(
            st.integers(0, 255)
        )
    message = bytes(damaged)
    with suppress(CodecError):
        told = codec.decode(message, type(record))  # fastavro takes an int of any size
        assert codec.encode(told) == codec.encode(read(message, type(record))[0])


@each_codec
@given(RECORDS[RawEvent], st.sets(st.sampled_from(OPTIONAL)), st.data())
def test_a_projection_reads_what_is_wanted(
    codec: Codec, event: RawEvent, wanted: set[str], data: st.DataObject
) -> None:
    """Beside what every event has; the others keep their defaults, and broken bytes are refused."""
    read_some = codec.projection(RawEvent, *wanted)
    message = codec.encode(event)

    told, defaults = read_some(message), RawEvent(**{name: getattr(event, name) for name in MUST})
    for name in RawEvent.__struct_fields__:
        kept = event if name in wanted else defaults
        assert getattr(told, name) == getattr(kept, name)
    end = data.draw(st.integers(0, len(message) - 1))
    for broken in (message[:end], message + b"x"):
        with pytest.raises(CodecError):
            read_some(broken)


@each_codec
def test_a_projection_knows_its_fields(codec: Codec) -> None:
    """A name that is misspelt would else be a field that is never told."""
    with pytest.raises(ValueError, match="RawEvent has no field pth"):
        codec.projection(RawEvent, "pth", "url")
    with pytest.raises(ValueError, match="RawEvent has no field pth"):
        codec.make_encoder(RawEvent, ["pth"], nulls={"url"})


@each_codec
@pytest.mark.parametrize("name", MAKERS)
def test_what_is_cut_off_is_refused_wherever_it_is_cut(codec: Codec, name: str) -> None:
    """Also in the midst of a text, whose slice would just be shorter."""
    record = MAKERS[name]()
    message = codec.encode(record)
    for end in range(len(message)):
        with pytest.raises(CodecError):
            codec.decode(message[:end], type(record))


def event(**pieces: bytes) -> bytes:
    """Return the message of an event whose fields are these bytes; the others are small."""
    must = dict.fromkeys(("event_id", "type", "site_id", "session_id"), b"\2x")
    fields = (field["name"] for field in SCHEMAS[1]["fields"])
    body = b"".join({**must, **pieces}.get(name, b"\0") for name in fields)
    return struct.pack(">bI", 0, 1) + body


HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"

BROKEN = {
    "a union's branch that there is not": event(title=b"\4\2x"),
    "a union's branch that is negative": event(title=b"\1"),
    "a union's branch in two bytes": event(title=b"\x82\0\2x"),
    "a symbol that there is not": event(time_source=b"\6"),
    "a symbol that is negative": event(time_source=b"\1"),
    "a text of negative length": event(type=b"\1"),
    "a text of a length near 2^63": event(type=HUGE),
    "a text that ends behind the end": event(extra=b"\2\x7ex"),
    "a text that is not UTF-8": event(type=b"\2\xff"),
    "a text with half a surrogate": event(type=b"\6\xed\xa0\x80"),
    "a number of eleven bytes": event(event_ts=b"\x80" * 10 + b"\1"),
    "a number of 65 bits": event(event_ts=b"\xff" * 9 + b"\3"),
    "a number that never ends": event()[:20] + b"\xff" * 10_000,
    "an array of 2^62 items": event(truncated=HUGE),
    "an array of -2^62 items": event(truncated=b"\xff" * 9 + b"\1\0"),
    "a block that says it is empty in two bytes": event(truncated=b"\x80\0"),
    "a block that is longer than it says": event(truncated=b"\3\6\2a\2b\0"),
    "a block that is shorter than it says": event(truncated=b"\3\x0a\2a\2b\0"),
    "a map of 2^62 items": event(vitals=b"\2" + HUGE),
    "half a floating point number": event(screen=b"\2\0\0\0\0\2\0\0\0\0")[:-14],
    "an amount of 26 digits": event(amount=b"\2\x16" + (10**25).to_bytes(11, "big")),
    "an amount of a million digits": event(amount=b"\2\xc0\xb4\x4d" + b"\x7f" * 634_400),
}


@each_codec
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_refused(codec: Codec, name: str) -> None:
    """In one way, whatever is broken, and no memory is taken at the word of a length."""
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
def test_what_is_passed_over_is_checked(codec: Codec, name: str) -> None:
    """However many items it is said to have: only texts may be no UTF-8."""
    with pytest.raises(CodecError):
        codec.projection(RawEvent)(BROKEN[name])


@each_codec
def test_blocks_may_say_how_long_they_are(codec: Codec) -> None:
    """Some writers put a negative count and a size in bytes before the items, or several blocks."""
    vitals = b"\2" + b"\1\x18\6lcp" + struct.pack("<d", 2.5) + b"\2\6cls" + bytes(8) + b"\0"
    message = event(truncated=b"\3\x08\2a\2b\2\2c\0", vitals=vitals)
    told = codec.decode(message, RawEvent)

    assert told.truncated == ["a", "b", "c"]
    assert told.vitals == {"lcp": 2.5, "cls": 0.0}
    assert told == read(message, RawEvent)[0]
    assert codec.projection(RawEvent, "truncated")(message).truncated == told.truncated
