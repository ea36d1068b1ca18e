"""Records to bytes and back: Avro in the Confluent wire format.

A message is `0x00`, the schema id as four big-endian bytes, then the Avro binary. The ids
stand in `SCHEMA_FILES`, kept by hand and never reused: to change a record, keep the old
schema under a new file name, add the new one under a new id. The newest schema of a record is
written, and all are read.

The Avro itself is that of `avro_compiled`, a C extension, or of `avro_fallback` where headrace
was installed without a C compiler.
"""

import json
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TypeVar

from schemas import records
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
    11: "alert_state.v2.avsc",
    12: "session_state.v2.avsc",
    14: "import_window.avsc",
    15: "page_duration.v2.avsc",
    16: "replay.v2.avsc",
    18: "cluster_epoch.avsc",
    22: "alert_state.v3.avsc",
}

_PREFIX = struct.Struct(">bI")
# Times and ids stay integers and text in Python: objects of their own cost and gain nothing.
_CONVERTED = {"timestamp-micros", "timestamp-millis", "uuid"}

Schema = Any
#: From a record, and the fields that are given after it, to its bytes.
Encoder = Callable[..., bytes]
#: From bytes and the index of a record's first one to the record and the index behind it.
Decoder = Callable[[bytes, int], tuple[Any, int]]
R = TypeVar("R", bound=Record)


class CodecError(ValueError):
    """Bytes that are not a record of the expected kind; the message says why."""


class Avro(Protocol):
    """The functions of `avro_compiled` and `avro_fallback`; the latter documents them."""

    def encoder(
        self, schema: Schema, prefix: bytes, given: Sequence[str] = (), absent: Collection[str] = ()
    ) -> Encoder:
        """Return a function that writes a record behind a prefix."""

    def decoder(
        self, schema: Schema, types: Mapping[str, type], wanted: Collection[str] | None = None
    ) -> Decoder:
        """Return a function that reads a record as one of `types`."""


class Codec:
    """Records to bytes and back, by one implementation of Avro."""

    def __init__(self, avro: Avro) -> None:
        self._avro = avro
        self._encoders: dict[type, Encoder] = {}
        self._decoders: dict[type, dict[bytes, Decoder]] = {}

    def encode(self, record: Record) -> bytes:
        """Return the record's message; `ValueError` or `TypeError` for a field of a wrong kind."""
        record_type = type(record)
        if (encode := self._encoders.get(record_type)) is None:
            encode = self._encoders[record_type] = self.encoder_of_parts(record_type, (), ())
        return encode(record)

    def decode(self, message: bytes, record_type: type[R]) -> R:
        """Read a message of any version of `record_type`; `CodecError` if it is not one."""
        if (decoders := self._decoders.get(record_type)) is None:
            decoders = self._decoders[record_type] = self._decoders_of(record_type, None)
        return _decode(message, record_type, decoders)

    def encoder_of_parts(
        self, record_type: type[Record], given: Sequence[str], absent: Collection[str]
    ) -> Encoder:
        """Return an `encode` of what is no record yet, but any object with the fields of one.

        The fields that are `given` are arguments after it, in this order; those that are `absent`
        are null, or empty lists.
        """
        schema_id = _ids_of(record_type.__name__)[-1]
        _check_fields(schema_id, {*given, *absent})
        return self._avro.encoder(schema_of(schema_id), _PREFIX.pack(0, schema_id), given, absent)

    def projection(self, record_type: type[R], *wanted: str) -> Callable[[bytes], R]:
        """Return a `decode` that reads only these of the fields that have a default.

        The others keep their default, whatever the message has, and a text that is passed over
        may be no UTF-8.
        """
        _check_fields(_ids_of(record_type.__name__)[-1], wanted)
        decoders = self._decoders_of(record_type, wanted)
        return lambda message: _decode(message, record_type, decoders)

    def _decoders_of(
        self, record_type: type, wanted: Collection[str] | None
    ) -> dict[bytes, Decoder]:
        """Return the decoders of all versions of a record, by the prefix of their messages."""
        return {
            _PREFIX.pack(0, schema_id): self._avro.decoder(
                schema_of(schema_id), vars(records), wanted
            )
            for schema_id in _ids_of(record_type.__name__)
        }


def _decode(message: bytes, record_type: type[R], decoders: Mapping[bytes, Decoder]) -> R:
    if (read := decoders.get(message[: _PREFIX.size])) is None:
        raise _not_read(message, record_type.__name__)
    try:
        (record, end) = read(message, _PREFIX.size)
    except ValueError as error:
        raise CodecError(f"not the Avro of a {record_type.__name__}: {error}") from error
    if end != len(message):
        raise CodecError(f"{len(message) - end} bytes behind the end of the {record_type.__name__}")
    return record  # type: ignore[no-any-return]


def _not_read(message: bytes, name: str) -> CodecError:
    if len(message) < _PREFIX.size or message[0] != 0:
        return CodecError("not the Confluent wire format: it does not begin with 0x00 and an id")
    (_, schema_id) = _PREFIX.unpack_from(message)
    if schema_id not in SCHEMA_FILES:
        return CodecError(f"unknown schema id {schema_id}")
    return CodecError(f"of the schema {schema_of(schema_id)['name']}, not {name}")


@cache
def _ids_of(name: str) -> tuple[int, ...]:
    """Return the ids of a record's schemas, the newest last."""
    ids = sorted(number for number in SCHEMA_FILES if schema_of(number)["name"] == name)
    if not ids:
        raise CodecError(f"no schema for {name}")
    return tuple(ids)


def _check_fields(schema_id: int, names: Collection[str]) -> None:
    schema = schema_of(schema_id)
    if unknown := {*names} - {field["name"] for field in schema["fields"]}:
        raise ValueError(f"{schema['name']} has no field {', '.join(sorted(unknown))}")


@cache
def schema_of(schema_id: int) -> Schema:
    """Return a schema without the logical types of times and ids."""
    text = files("schemas").joinpath("avro", SCHEMA_FILES[schema_id]).read_text("utf-8")
    return _without_conversions(json.loads(text))


def _without_conversions(schema: Schema) -> Schema:
    """Drop the logical types of times and ids: same bytes, but integers and text in Python."""
    if isinstance(schema, list):
        return [_without_conversions(part) for part in schema]
    if isinstance(schema, dict):
        if schema.get("logicalType") in _CONVERTED:
            return schema["type"]
        return {key: _without_conversions(value) for key, value in schema.items()}
    return schema


def _installed() -> tuple[Avro, bool]:
    """Return the faster implementation that is installed, and whether it is the compiled one."""
    # Neither is imported in vain: fastavro takes longer than all of `schemas`.
    try:
        from schemas import avro_compiled  # noqa: PLC0415
    except ImportError:
        from schemas import avro_fallback  # noqa: PLC0415

        return avro_fallback, False
    return avro_compiled, True


(_avro, IS_COMPILED) = _installed()
_codec = Codec(_avro)
encode = _codec.encode
decode = _codec.decode
encoder_of_parts = _codec.encoder_of_parts
projection = _codec.projection
