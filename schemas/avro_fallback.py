"""Avro by fastavro: the functions of `avro_compiled`, where there was no C compiler.

Same bytes, same records, and the same messages are rejected. fastavro accepts more than Avro
allows (negative lengths, numbers of any size, any byte as a boolean), so `avro_check` reads each
message first.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.validation import validate

from schemas.avro_check import check_of

Schema = Any

#: From a record, and the fields that are given after it, to its bytes.
Encoder = Callable[..., bytes]
#: From bytes and the index of a record's first one to the record and the index behind it.
Decoder = Callable[[bytes, int], tuple[Any, int]]

#: What msgspec leaves as it is: fastavro decides whether it is of the schema's kind.
_KEPT = (bytes, bytearray, Decimal, UUID, datetime, date, time, timedelta)


def encoder(
    schema: Schema, prefix: bytes, given: Sequence[str] = (), absent: Collection[str] = ()
) -> Encoder:
    """Return a function that writes a record behind a prefix.

    The record may be any object with the fields as attributes. Those that are `given` are
    arguments after it, those that are `absent` are null, or empty lists. The function raises
    `TypeError` or `ValueError` when a field is not of the schema's kind.
    """
    parsed = parse_schema(schema)
    empty: dict[str, Any] = {
        field["name"]: None if isinstance(field["type"], list) else []
        for field in schema["fields"]
        if field["name"] in absent
    }
    attributes = [
        field["name"] for field in schema["fields"] if field["name"] not in {*given, *absent}
    ]

    def encode(record: Any, *values: Any) -> bytes:
        if len(values) != len(given):
            raise TypeError(f"{len(values)} fields are given, not {', '.join(given)}")
        out = BytesIO(prefix)
        out.seek(len(prefix))
        try:
            fields = {name: getattr(record, name) for name in attributes}
            fields |= zip(given, values, strict=True)
            plain = {**msgspec.to_builtins(fields, builtin_types=_KEPT), **empty}
            # Raising costs five times as much, also where all is well: it does so for each null.
            if not validate(plain, parsed, raise_errors=False, strict=True):
                validate(plain, parsed, strict=True)
            schemaless_writer(out, parsed, plain)
        except MemoryError:
            raise
        except Exception as error:  # of many kinds: fastavro raises what it comes to
            raise TypeError(f"a field of a {schema['name']} is of a wrong kind: {error}") from error
        return out.getvalue()

    return encode


def decoder(
    schema: Schema, types: Mapping[str, type], wanted: Collection[str] | None = None
) -> Decoder:
    """Return a function that reads a record as one of `types`, by its name in the schema.

    Of the fields that have a default only the `wanted` are read, None for all; the others are
    passed over, and keep their default. The function raises `ValueError` for bytes that do not
    begin with such a record.
    """
    check = check_of(schema)
    record_type = types[schema["name"]]
    parsed, wanted_only = parse_schema(schema), None
    if wanted is not None:
        required = {field.name for field in msgspec.structs.fields(record_type) if field.required}
        kept = [field for field in schema["fields"] if field["name"] in required | {*wanted}]
        wanted_only = parse_schema({**schema, "fields": kept})

    def decode(message: bytes, start: int) -> tuple[Any, int]:
        body = BytesIO(message)
        body.seek(start)
        try:
            end = check(message, start)
            fields = schemaless_reader(body, parsed, wanted_only)
            record: Any = msgspec.convert(fields, record_type, builtin_types=(bytes, Decimal))
        except MemoryError:
            raise
        except Exception as error:  # of many kinds: fastavro raises what the bytes provoke
            raise ValueError(repr(error)) from error
        return record, end

    return decode
