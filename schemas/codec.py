"""Serialization of records: Avro in the Confluent wire format.

A message is `0x00`, the schema id (four bytes, big-endian), and the Avro binary. Ids are assigned
by hand in `avro/ids.json` and never reused: to change a record, add a new file with a new id.
Records are written with their newest schema; all schemas can be read. With a schema registry,
records are written with the ids of the registry, and read with both (`use_registry_ids`).

Avro is implemented by `avro_compiled`, a C extension, or by `avro_fallback` if headrace was
installed without a C compiler.
"""

import json
import struct
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TypeVar

from schemas import records
from schemas.records import Record

#: The file of each schema id. Other consumers read `ids.json`, too.
SCHEMA_FILES: dict[int, str] = {
    int(schema_id): file
    for schema_id, file in json.loads(
        files("schemas").joinpath("avro", "ids.json").read_text("utf-8")
    ).items()
}

#: Ids up to this one are assigned to headrace's schemas only, or to none; see docs/adr/0070.
LAST_ID = 255

_PREFIX = struct.Struct(">bI")
# Timestamps and UUIDs are kept as integers and strings, which are faster than objects.
_IGNORED_LOGICAL_TYPES = {"timestamp-micros", "timestamp-millis", "uuid"}

Schema = Any
#: Takes a record, and the values of the fields that are passed as arguments; returns bytes.
Encoder = Callable[..., bytes]
#: Takes bytes and the index of a record; returns the record and the index after it.
Decoder = Callable[[bytes, int], tuple[Any, int]]
R = TypeVar("R", bound=Record)


class CodecError(ValueError):
    """The bytes are not a record of the expected type."""


class SchemaIdError(ValueError):
    """A registry's id of a schema cannot be used; the message says why."""


class PrefixedEncoder(Protocol):
    """Encodes records after a prefix."""

    def encode(self, record: Any, *values: Any) -> bytes:
        """Return the bytes. Raise `ValueError` or `TypeError` if a field has a wrong type."""

    def set_prefix(self, prefix: bytes) -> None:
        """Write another prefix from now on."""


class Avro(Protocol):
    """The interface of `avro_compiled` and `avro_fallback`; the latter documents it."""

    def encoder(
        self,
        schema: Schema,
        prefix: bytes,
        arguments: Sequence[str] = (),
        nulls: Collection[str] = (),
    ) -> PrefixedEncoder:
        """Return an encoder of a record."""

    def decoder(
        self, schema: Schema, types: Mapping[str, type], optional: Collection[str] | None = None
    ) -> Decoder:
        """Return a function that decodes a record to one of `types`."""


class Codec:
    """Encodes and decodes records with one implementation of Avro."""

    def __init__(self, avro: Avro) -> None:
        self._avro = avro
        self._encoders: dict[type, Encoder] = {}
        self._decoders: dict[type, dict[bytes, Decoder]] = {}
        #: The ids that a registry assigned, by our own ids.
        self._registry_ids: Mapping[int, int] = {}
        #: All encoders with their schema ids, and all decoders with those of their record.
        self._made_encoders: list[tuple[int, PrefixedEncoder]] = []
        self._made_decoders: list[tuple[Sequence[int], dict[bytes, Decoder]]] = []

    def encode(self, record: Record) -> bytes:
        """Return the message. Raise `ValueError` or `TypeError` if a field has a wrong type."""
        record_type = type(record)
        if (encode := self._encoders.get(record_type)) is None:
            encode = self._encoders[record_type] = self.make_encoder(record_type, (), ())
        return encode(record)

    def decode(self, message: bytes, record_type: type[R]) -> R:
        """Decode a message with any schema of `record_type`. Raise `CodecError` if it has none."""
        if (decoders := self._decoders.get(record_type)) is None:
            decoders = self._decoders[record_type] = self._decoders_of(record_type, None)
        return _decode(message, record_type, decoders)

    def make_encoder(
        self, record_type: type[Record], arguments: Sequence[str], nulls: Collection[str]
    ) -> Encoder:
        """Return an `encode` for any object that has the record's fields as attributes.

        The fields in `arguments` are passed as arguments after it, in this order; those in `nulls`
        are written as null or as empty lists.
        """
        schema_id = ids_of(record_type.__name__)[-1]
        _check_fields(schema_id, {*arguments, *nulls})
        prefix = self._prefix(schema_id)
        encoder = self._avro.encoder(schema_of(schema_id), prefix, arguments, nulls)
        self._made_encoders.append((schema_id, encoder))
        return encoder.encode

    def projection(self, record_type: type[R], *optional: str) -> Callable[[bytes], R]:
        """Return a `decode` that reads only the required fields and those in `optional`.

        The others are skipped and have their default; their strings are not checked to be UTF-8.
        """
        _check_fields(ids_of(record_type.__name__)[-1], optional)
        decoders = self._decoders_of(record_type, optional)
        return lambda message: _decode(message, record_type, decoders)

    def _decoders_of(
        self, record_type: type, optional: Collection[str] | None
    ) -> dict[bytes, Decoder]:
        """Return the decoders of all schemas of a record by message prefix."""
        own_ids = ids_of(record_type.__name__)
        decoders = {
            _PREFIX.pack(0, schema_id): self._avro.decoder(
                schema_of(schema_id), vars(records), optional
            )
            for schema_id in own_ids
        }
        self._made_decoders.append((own_ids, decoders))
        self._add_registry_ids(own_ids, decoders)
        return decoders

    def use_registry_ids(self, ids: Mapping[int, int]) -> None:
        """Write the ids of a schema registry from now on, and read them and our own.

        `ids` are the registry's by our own; schemas that are missing keep their own. Raise
        `SchemaIdError`, and change nothing, if records would be ambiguous.
        """
        check_registry_ids(ids)
        self._registry_ids = {**ids}
        for schema_id, encoder in self._made_encoders:
            encoder.set_prefix(self._prefix(schema_id))
        for own_ids, decoders in self._made_decoders:
            for prefix in decoders.keys() - {_PREFIX.pack(0, own_id) for own_id in own_ids}:
                del decoders[prefix]  # of an earlier call
            self._add_registry_ids(own_ids, decoders)

    def _prefix(self, schema_id: int) -> bytes:
        """Return the prefix of records that are written with a schema."""
        return _PREFIX.pack(0, self._registry_ids.get(schema_id, schema_id))

    def _add_registry_ids(
        self, own_ids: Sequence[int], decoders: MutableMapping[bytes, Decoder]
    ) -> None:
        for own_id in own_ids:
            decoders[self._prefix(own_id)] = decoders[_PREFIX.pack(0, own_id)]


def check_registry_ids(ids: Mapping[int, int]) -> None:
    """Raise `SchemaIdError` if a registry's id is the id of another schema of the same record."""
    for name in sorted({schema_of(own_id)["name"] for own_id in ids}):
        schema_ids = {own_id: own_id for own_id in ids_of(name)}
        for own_id in ids_of(name):
            registered = ids.get(own_id, own_id)
            if schema_ids.setdefault(registered, own_id) != own_id:
                raise SchemaIdError(
                    f"it has {SCHEMA_FILES[own_id]} under the id {registered}, by which headrace "
                    f"knows {SCHEMA_FILES[schema_ids[registered]]}, so that records "
                    "would be ambiguous"
                )


def _decode(message: bytes, record_type: type[R], decoders: Mapping[bytes, Decoder]) -> R:
    if (read := decoders.get(message[: _PREFIX.size])) is None:
        raise _prefix_error(message, record_type.__name__)
    try:
        (record, end) = read(message, _PREFIX.size)
    except ValueError as error:
        raise CodecError(f"not the Avro of a {record_type.__name__}: {error}") from error
    if end != len(message):
        raise CodecError(f"{len(message) - end} bytes after the end of the {record_type.__name__}")
    return record  # type: ignore[no-any-return]


def _prefix_error(message: bytes, name: str) -> CodecError:
    if len(message) < _PREFIX.size or message[0] != 0:
        return CodecError("not the Confluent wire format: it does not begin with 0x00 and an id")
    (_, schema_id) = _PREFIX.unpack_from(message)
    if schema_id not in SCHEMA_FILES:
        return CodecError(f"unknown schema id {schema_id}")
    return CodecError(f"of the schema {schema_of(schema_id)['name']}, not {name}")


@cache
def ids_of(name: str) -> tuple[int, ...]:
    """Return our own schema ids of a record, the newest last."""
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
    """Return a schema without the logical types of timestamps and UUIDs."""
    return _without_logical_types(json.loads(schema_text(schema_id)))


def schema_text(schema_id: int) -> str:
    """Return the content of a schema's file."""
    return files("schemas").joinpath("avro", SCHEMA_FILES[schema_id]).read_text("utf-8")


def _without_logical_types(schema: Schema) -> Schema:
    """Remove the logical types of timestamps and UUIDs. The bytes are the same."""
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        if schema.get("logicalType") in _IGNORED_LOGICAL_TYPES:
            return schema["type"]
        return {key: _without_logical_types(value) for key, value in schema.items()}
    return schema


def _load_avro() -> tuple[Avro, bool]:
    """Return the compiled implementation and True, or the fallback and False."""
    # fastavro is imported only if needed: that takes longer than all of `schemas`.
    try:
        from schemas import avro_compiled  # noqa: PLC0415
    except ImportError:
        from schemas import avro_fallback  # noqa: PLC0415

        return avro_fallback, False
    return avro_compiled, True


(_avro, IS_COMPILED) = _load_avro()
_codec = Codec(_avro)
encode = _codec.encode
decode = _codec.decode
make_encoder = _codec.make_encoder
projection = _codec.projection
use_registry_ids = _codec.use_registry_ids
