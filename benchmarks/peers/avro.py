"""Records encoded by fastavro and msgspec, as in their documentation."""

from decimal import Decimal
from io import BytesIO
from typing import Any

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas import codec
from schemas.codec import R
from schemas.records import Record

_BUILTIN = (bytes, Decimal)
#: The newest schema of each record type, with the prefix of its messages.
_SCHEMAS = {
    codec.schema_of(number)["name"]: (
        parse_schema(codec.schema_of(number)),
        bytes((0, 0, 0, 0, number)),
    )
    for number in sorted(codec.SCHEMA_FILES)
}


def encode(record: Record) -> bytes:
    """Encode a record."""
    schema, prefix = _SCHEMAS[type(record).__name__]
    out = BytesIO()
    out.write(prefix)
    schemaless_writer(out, schema, msgspec.to_builtins(record, builtin_types=_BUILTIN))
    return out.getvalue()


def decode(message: bytes, record_type: type[R]) -> R:
    """Decode a message with the newest schema of `record_type`."""
    schema, prefix = _SCHEMAS[record_type.__name__]
    body = BytesIO(message)
    body.seek(len(prefix))
    fields: Any = schemaless_reader(body, schema, None)
    return msgspec.convert(fields, record_type, builtin_types=_BUILTIN)
