"""The functions of `avro_compiled` with fastavro, for installations without a C compiler.

They write and read the same bytes, and reject the same messages. fastavro accepts more than Avro
allows (negative lengths, numbers of any size, any byte as a boolean), so `avro_check` validates
each message first.
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

#: Takes bytes and the index of a record; returns the record and the index after it.
Decoder = Callable[[bytes, int], tuple[Any, int]]

#: Types that msgspec does not convert; fastavro validates them.
_BUILTIN_TYPES = (bytes, bytearray, Decimal, UUID, datetime, date, time, timedelta)


class Encoder:
    """Encodes records after a prefix."""

    def __init__(
        self, prefix: bytes, schema: Schema, arguments: Sequence[str], nulls: Collection[str]
    ) -> None:
        self._prefix = prefix
        self._name = schema["name"]
        self._parsed = parse_schema(schema)
        self._arguments = arguments
        self._empty: dict[str, Any] = {
            field["name"]: None if isinstance(field["type"], list) else []
            for field in schema["fields"]
            if field["name"] in nulls
        }
        self._attributes = [
            field["name"] for field in schema["fields"] if field["name"] not in {*arguments, *nulls}
        ]

    def set_prefix(self, prefix: bytes) -> None:
        """Write another prefix from now on."""
        self._prefix = prefix

    def encode(self, record: Any, *values: Any) -> bytes:
        """Return the bytes of a record."""
        if len(values) != len(self._arguments):
            raise TypeError(f"{len(values)} arguments, expected {', '.join(self._arguments)}")
        out = BytesIO(self._prefix)
        out.seek(len(self._prefix))
        try:
            fields = {name: getattr(record, name) for name in self._attributes}
            fields |= zip(self._arguments, values, strict=True)
            plain = {**msgspec.to_builtins(fields, builtin_types=_BUILTIN_TYPES), **self._empty}
            # raise_errors=True is five times slower for valid records: it raises for each null.
            if not validate(plain, self._parsed, raise_errors=False, strict=True):
                validate(plain, self._parsed, strict=True)
            schemaless_writer(out, self._parsed, plain)
        except MemoryError:
            raise
        except Exception as error:  # fastavro raises many types
            raise TypeError(f"a field of {self._name} has a wrong type: {error}") from error
        return out.getvalue()


def encoder(
    schema: Schema, prefix: bytes, arguments: Sequence[str] = (), nulls: Collection[str] = ()
) -> Encoder:
    """Return an object whose `encode` encodes a record after a prefix.

    The record may be any object with the fields as attributes. The fields in `arguments` are
    passed as arguments after it; those in `nulls` are written as null or as empty lists. `encode`
    raises `TypeError` or `ValueError` if a value does not match the schema.
    """
    return Encoder(prefix, schema, arguments, nulls)


def decoder(
    schema: Schema, types: Mapping[str, type], optional: Collection[str] | None = None
) -> Decoder:
    """Return a function that decodes a record to its struct in `types`, by schema name.

    `optional` limits the fields with a default that are decoded; the others are skipped and have
    their default. None decodes all. The function raises `ValueError` for malformed bytes.
    """
    check = check_of(schema)
    record_type = types[schema["name"]]
    parsed, reader_schema = parse_schema(schema), None
    if optional is not None:
        required = {field.name for field in msgspec.structs.fields(record_type) if field.required}
        projected = [field for field in schema["fields"] if field["name"] in required | {*optional}]
        reader_schema = parse_schema({**schema, "fields": projected})

    def decode(message: bytes, start: int) -> tuple[Any, int]:
        body = BytesIO(message)
        body.seek(start)
        try:
            end = check(message, start)
            fields = schemaless_reader(body, parsed, reader_schema)
            record: Any = msgspec.convert(fields, record_type, builtin_types=(bytes, Decimal))
        except MemoryError:
            raise
        except Exception as error:  # fastavro raises many types
            raise ValueError(repr(error)) from error
        return record, end

    return decode
