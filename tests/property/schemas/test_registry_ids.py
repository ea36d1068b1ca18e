"""The schema ids of a registry: written instead of ours, read as well as ours."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import avro_fallback
from schemas.codec import (
    LAST_ID,
    SCHEMA_FILES,
    Codec,
    CodecError,
    SchemaIdError,
    check_registry_ids,
    ids_of,
    schema_of,
)
from schemas.records import Alert, RawEvent, Record, Replay
from schemas.subjects import first_subjects, newest_of_all, subjects
from tests.contract.schemas.record_examples import FOLDER, example_id
from tests.property.schemas.any_records import any_record
from tests.property.schemas.codecs import CODECS

each_avro = pytest.mark.parametrize("kind", CODECS)
RECORD = Replay(stage="sessionize", origin="events-raw/0/1", src_offset=9, log_ms=0)


def new_codec(kind: str) -> Codec:
    """Return a codec without ids of a registry."""
    if kind == "fastavro":
        return Codec(avro_fallback)
    from schemas import avro_compiled  # noqa: PLC0415 - there may be no C compiler

    return Codec(avro_compiled)


def wire_id(message: bytes) -> int:
    """Return the schema id in a message."""
    return int(struct.unpack_from(">bI", message)[1])


@each_avro
def test_encoders_and_decoders_made_before_use_the_ids(kind: str) -> None:
    """So that modules can make them when they are imported; another call replaces the ids."""
    codec = new_codec(kind)
    (first, newest) = ids_of("Replay")
    encode = codec.make_encoder(Replay, ["stage"], nulls=())
    read = codec.projection(Replay)
    own = codec.encode(RECORD)

    for ids in ({first: 300, newest: 301}, {newest: 2**31 - 1}):
        codec.use_registry_ids(ids)
        for message in (codec.encode(RECORD), encode(RECORD, "sessionize")):
            assert wire_id(message) == ids[newest]
            assert message[5:] == own[5:]
            assert codec.decode(message, Replay) == RECORD
            assert read(message).origin == RECORD.origin
    codec.use_registry_ids({})

    assert codec.encode(RECORD) == encode(RECORD, "sessionize") == own
    with pytest.raises(CodecError):
        codec.decode(struct.pack(">bI", 0, 301) + own[5:], Replay)


def example(own_id: int) -> bytes:
    """Return a published message with one of our schemas."""
    return (FOLDER / example_id(own_id)).with_suffix(".bin").read_bytes()


@given(record=any_record, shift=st.sampled_from([256, 1_000, 2**31 - 256]))
def test_every_record_is_read_with_both_ids(record: Record, shift: int) -> None:
    """The bytes after the prefix are the same."""
    for codec in CODECS.values():
        own = codec.encode(record)
        codec.use_registry_ids({own_id: own_id + shift for own_id in SCHEMA_FILES})
        try:
            message = codec.encode(record)
            assert message == struct.pack(">bI", 0, wire_id(own) + shift) + own[5:]
            assert codec.decode(message, type(record)) == codec.decode(own, type(record))
        finally:
            codec.use_registry_ids({})


@each_avro
def test_old_versions_are_read_with_the_ids_of_the_registry(kind: str) -> None:
    """As with ours."""
    codec = new_codec(kind)
    codec.use_registry_ids({own_id: 900 - own_id for own_id in SCHEMA_FILES})
    for own_id in ids_of("RawEvent"):
        own = example(own_id)
        message = struct.pack(">bI", 0, 900 - own_id) + own[5:]
        assert codec.decode(message, RawEvent) == codec.decode(own, RawEvent)


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param(dict(zip(ids_of("Replay"), (16, 300), strict=True)), id="of-another-version"),
        pytest.param(dict.fromkeys(ids_of("Replay"), 300), id="the-same-for-two"),
        pytest.param({ids_of("Replay")[-1]: ids_of("Replay")[0]}, id="of-an-unregistered-version"),
    ],
)
def test_ids_that_would_mix_versions_up_are_rejected(ids: dict[int, int]) -> None:
    """The codec keeps its ids."""
    codec = new_codec("fastavro")
    with pytest.raises(SchemaIdError, match="would be ambiguous"):
        codec.use_registry_ids(ids)
    assert wire_id(codec.encode(RECORD)) == ids_of("Replay")[-1]


def test_an_id_of_another_record_is_no_conflict() -> None:
    """Each topic has one record, so a registry may give our id of an alert to a replay."""
    (alert, *_) = ids_of("Alert")
    codec = new_codec("fastavro")
    codec.use_registry_ids({ids_of("Replay")[-1]: alert})

    assert wire_id(codec.encode(RECORD)) == alert
    assert codec.decode(codec.encode(RECORD), Replay) == RECORD
    assert codec.decode(example(alert), Alert).rule == "payment"


def test_our_ids_stay_in_the_reserved_range() -> None:
    """A registry assigns later ones, see ADR 70; the last one is used by `schemas register`."""
    assert max(SCHEMA_FILES) < LAST_ID
    check_registry_ids({own_id: own_id for own_id in SCHEMA_FILES})


def test_each_schema_belongs_to_a_subject() -> None:
    """That of the first topic with its record."""
    assert first_subjects().keys() == SCHEMA_FILES.keys()
    assert first_subjects()[1] == "events-raw-value"
    assert newest_of_all() == {subject.schema_ids[-1] for subject in subjects()}
    assert {schema_of(own_id)["name"] for own_id in newest_of_all()} >= {"RawEvent", "Site"}
