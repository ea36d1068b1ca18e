"""Decodes records of `events-raw` by fastavro and the schema file, and compares them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from fastavro import parse_schema, schemaless_reader

import schemas
from tests.faults.derived import record_of
from tests.reference import Row

#: All schemas that `events-raw` was ever written with; ids are never reused.
_FILES = {1: "raw_event.avsc", 23: "raw_event.v2.avsc"}
_FOLDER = Path(schemas.__file__).with_name("avro")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = ("properties", "extra")


class RawRecord(NamedTuple):
    """A record of the topic, with the fields of its value."""

    partition: int
    offset: int
    key: bytes
    headers: Mapping[str, bytes]
    fields: Row
    #: The epoch of its cluster, if the database has had several.
    epoch: int = 0


def fields_of(value: bytes) -> Row:
    """Return the fields of a value in the Confluent wire format; raises ValueError."""
    schema_id = int.from_bytes(value[1:5], "big")
    if value[:1] != b"\0" or schema_id not in _FILES:
        raise ValueError(f"the value begins with {value[:5].hex()}")
    rest = BytesIO(value[5:])
    try:
        fields: Any = schemaless_reader(rest, _schema(schema_id), None)
    except Exception as error:
        raise ValueError(f"fastavro: {error!r}") from error
    if rest.read(1):
        raise ValueError("there are bytes after the record")
    return {name: _plain(name, value) for name, value in fields.items()}


def record_differences(
    record: RawRecord, body: Mapping[str, Any], *, imported: bool = False
) -> list[str]:
    """Return the differences between a record and the event that was sent."""
    fields = record.fields
    expected = record_of(
        body, fields["received_at"], imported=imported, header=fields["user_agent"]
    )
    differing = [
        f"{name} is {fields.get(name)!r}, not {expected[name]!r}"
        for name in expected
        if fields.get(name) != expected[name]
    ]
    key = f"{body['site_id']}:{body['session_id']}".encode()
    outside = {
        "key": (record.key, key),
        "header id": (record.headers.get("id"), UUID(body["event_id"]).bytes),
        "header type": (record.headers.get("type"), body["type"].encode()),
        "header client-id": (record.headers.get("client-id"), b""),
    }
    return differing + [
        f"{name} is {actual!r}, not {wanted!r}"
        for name, (actual, wanted) in outside.items()
        if actual != wanted
    ]


@cache
def _schema(schema_id: int) -> Any:
    return parse_schema(json.loads((_FOLDER / _FILES[schema_id]).read_text()))


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, UUID):
        return str(value)
    if name in _JSON and value is not None:
        return json.loads(value)
    if name == "truncated":
        return sorted(value)
    if isinstance(value, dict):  # without members that were not sent
        return {member: item for member, item in value.items() if item is not None}
    return value
