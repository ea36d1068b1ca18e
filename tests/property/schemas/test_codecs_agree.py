"""The compiled codec and that of fastavro accept the same messages, and read the same of them."""

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

#: What agents read (`READ` in each), and nothing but what an event must have.
PROJECTIONS = [(), ("path", "referrer", "utm", "visitor_id"), ("url", "duration_ms", "vitals")]
TYPES = {record_type.__name__: record_type for record_type in RECORDS}
COMPILED = CODECS.get("compiled", CODECS["fastavro"])
EXAMPLES = {
    schema_id: (FOLDER / example_id(schema_id)).with_suffix(".bin").read_bytes()
    for schema_id in SCHEMA_FILES
}
#: Bytes at which lengths, counts and branches change their meaning.
EDGES = (0, 1, 2, 3, 4, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF)


@cache
def readers_of(codec: Codec, record_type: type[Record]) -> list[Callable[[bytes], Record]]:
    """Return all that a codec reads messages of a record by."""
    projections = PROJECTIONS if record_type is RawEvent else []
    return [
        lambda message: codec.decode(message, record_type),
        *(codec.projection(RawEvent, *wanted) for wanted in projections),
    ]


def outcome(codec: Codec, message: bytes, record_type: type[Record]) -> list[str]:
    """Return what a codec makes of a message, and what its projections do."""
    found = []
    for read in readers_of(codec, record_type):
        try:
            found.append(repr(read(message)))
        except CodecError:
            found.append("CodecError")
    return found


def agree(message: bytes, record_type: type[Record]) -> None:
    """Fail unless both codecs make the same of a message."""
    assert outcome(COMPILED, message, record_type) == outcome(
        CODECS["fastavro"], message, record_type
    )


def damaged(message: bytes, chance: random.Random) -> bytes:
    """Return a message with some bytes replaced, repeated, left out or cut off."""
    body = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(5, len(body) + 1)
        more = bytes(chance.choice(EDGES) for _ in range(chance.randint(0, 10)))
        body[at : at + chance.choice((0, len(more), 1, 2, 40))] = more
    return bytes(body)


def test_there_is_a_compiled_codec_where_there_is_a_compiler() -> None:
    """Else the tests of the compiled one would pass without it."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]

    assert ("compiled" in CODECS) == installed.IS_COMPILED
    assert installed.IS_COMPILED or not (header.exists() and shutil.which(compiler))


@given(any_record)
def test_they_write_the_same(record: Record) -> None:
    """Byte for byte."""
    assert COMPILED.encode(record) == CODECS["fastavro"].encode(record)


@pytest.mark.parametrize("schema_id", SCHEMA_FILES)
@given(seed=st.integers(0, 2**63))
def test_they_agree_about_damaged_examples(schema_id: int, seed: int) -> None:
    """Of every version of every schema."""
    chance = random.Random(seed)  # noqa: S311 - hypothesis chooses the seed
    agree(damaged(EXAMPLES[schema_id], chance), TYPES[schema_of(schema_id)["name"]])


@given(any_record, st.integers(0, 2**63))
def test_they_agree_about_damaged_records(record: Record, seed: int) -> None:
    """With any values before the damage."""
    chance = random.Random(seed)  # noqa: S311 - hypothesis chooses the seed
    agree(damaged(COMPILED.encode(record), chance), type(record))


@given(st.sampled_from(list(SCHEMA_FILES)), st.binary(max_size=300))
def test_they_agree_about_any_bytes(schema_id: int, body: bytes) -> None:
    """Behind the prefix of a schema."""
    agree(struct.pack(">bI", 0, schema_id) + body, TYPES[schema_of(schema_id)["name"]])


@pytest.mark.parametrize("schema_id", SCHEMA_FILES)
def test_they_agree_wherever_one_byte_is_changed(schema_id: int) -> None:
    """Each byte of each example, to each value that means something else."""
    message = EXAMPLES[schema_id]
    record_type = TYPES[schema_of(schema_id)["name"]]
    for at in range(5, len(message)):
        for byte in (0, 1, 2, 0x80, 0xFF):
            agree(message[:at] + bytes((byte,)) + message[at + 1 :], record_type)
