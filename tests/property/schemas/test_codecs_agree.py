"""Both codecs accept the same messages, and decode them to the same records.

`test_avro.py` compares what they encode.
"""

import random
import shutil
import struct
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec as installed
from schemas.codec import SCHEMA_FILES, Codec, CodecError, schema_of
from schemas.records import RawEvent, Record
from tests.contract.schemas.record_examples import FOLDER, example_id
from tests.property.schemas.any_records import RECORDS, any_record
from tests.property.schemas.codecs import CODECS

#: Required fields only, and fields that agents read.
PROJECTIONS = [(), ("path", "referrer", "utm", "visitor_id"), ("url", "duration_ms", "vitals")]
TYPES = {record_type.__name__: record_type for record_type in RECORDS}
COMPILED = CODECS.get("compiled", CODECS["fastavro"])
EXAMPLES = {
    schema_id: (FOLDER / example_id(schema_id)).with_suffix(".bin").read_bytes()
    for schema_id in SCHEMA_FILES
}
#: Limits of encoded lengths, counts and branches.
EDGES = (0, 1, 2, 3, 4, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF)


@cache
def readers_of(codec: Codec, record_type: type[Record]) -> list[Callable[[bytes], Record]]:
    """Return the `decode` of a record, and its projections."""
    projections = PROJECTIONS if record_type is RawEvent else []
    return [
        lambda message: codec.decode(message, record_type),
        *(codec.projection(RawEvent, *fields) for fields in projections),
    ]


def outcome(codec: Codec, message: bytes, record_type: type[Record]) -> list[str]:
    """Return the decoded record, or the error, of each reader."""
    outcomes = []
    for read in readers_of(codec, record_type):
        try:
            outcomes.append(repr(read(message)))
        except CodecError:
            outcomes.append("CodecError")
    return outcomes


def agree(message: bytes, record_type: type[Record]) -> None:
    """Assert that both codecs have the same outcome."""
    assert outcome(COMPILED, message, record_type) == outcome(
        CODECS["fastavro"], message, record_type
    )


def damaged(message: bytes, chance: random.Random) -> bytes:
    """Return a message with some bytes replaced, inserted or removed."""
    body = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(5, len(body) + 1)
        more = bytes(chance.choice(EDGES) for _ in range(chance.randint(0, 10)))
        body[at : at + chance.choice((0, len(more), 1, 2, 40))] = more
    return bytes(body)


def test_the_codec_is_compiled_if_there_is_a_compiler() -> None:
    """Otherwise its tests would be skipped unnoticed."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]

    assert ("compiled" in CODECS) == installed.IS_COMPILED
    assert installed.IS_COMPILED or not (header.exists() and shutil.which(compiler))


@pytest.mark.parametrize("schema_id", SCHEMA_FILES)
@given(seed=st.integers(0, 2**63))
def test_they_agree_on_damaged_examples(schema_id: int, seed: int) -> None:
    """Of all schemas."""
    chance = random.Random(seed)  # noqa: S311 - hypothesis chooses the seed
    agree(damaged(EXAMPLES[schema_id], chance), TYPES[schema_of(schema_id)["name"]])


@given(any_record, st.integers(0, 2**63))
def test_they_agree_on_damaged_records(record: Record, seed: int) -> None:
    """With any values."""
    chance = random.Random(seed)  # noqa: S311 - hypothesis chooses the seed
    agree(damaged(COMPILED.encode(record), chance), type(record))


@given(st.sampled_from(list(SCHEMA_FILES)), st.binary(max_size=300))
def test_they_agree_on_any_bytes(schema_id: int, body: bytes) -> None:
    """After the prefix of a schema."""
    agree(struct.pack(">bI", 0, schema_id) + body, TYPES[schema_of(schema_id)["name"]])


@pytest.mark.parametrize("schema_id", SCHEMA_FILES)
def test_they_agree_on_examples_with_one_changed_byte(schema_id: int) -> None:
    """At each index, with several values."""
    message = EXAMPLES[schema_id]
    record_type = TYPES[schema_of(schema_id)["name"]]
    for at in range(5, len(message)):
        for byte in (0, 1, 2, 0x80, 0xFF):
            agree(message[:at] + bytes((byte,)) + message[at + 1 :], record_type)
