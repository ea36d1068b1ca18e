import struct
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import SCHEMA_FILES, Codec, CodecError
from schemas.records import RawEvent, Record, Screen
from tests.property.schemas.any_records import any_record, any_record_type
from tests.property.schemas.codecs import CODECS, each_codec


def _decodes_or_says_why(message: bytes, record_type: type[Record]) -> None:
    for codec in CODECS.values():
        with suppress(CodecError):
            assert isinstance(codec.decode(message, record_type), record_type)


@given(st.binary(max_size=200), any_record_type)
def test_any_bytes_are_a_record_or_a_codec_error(message: bytes, record_type: type[Record]) -> None:
    """No other error is raised."""
    _decodes_or_says_why(message, record_type)


@given(st.sampled_from(list(SCHEMA_FILES)), st.binary(max_size=300), any_record_type)
def test_any_body_is_a_record_or_a_codec_error(
    schema_id: int, body: bytes, record_type: type[Record]
) -> None:
    """After a valid prefix, too."""
    _decodes_or_says_why(struct.pack(">bI", 0, schema_id) + body, record_type)


@given(any_record, st.binary(min_size=1, max_size=8), st.data())
def test_a_damaged_record_is_a_record_or_a_codec_error(
    record: Record, more: bytes, data: st.DataObject
) -> None:
    """Truncated at any length, with trailing bytes, or with any byte changed."""
    message = bytearray(CODECS["fastavro"].encode(record))
    at = data.draw(st.integers(0, len(message) - 1))
    for codec in CODECS.values():
        with pytest.raises(CodecError):
            codec.decode(bytes(message[:at]), type(record))
        with pytest.raises(CodecError, match="after the end"):
            codec.decode(bytes(message) + more, type(record))

    message[at] = data.draw(st.integers(0, 255))
    _decodes_or_says_why(bytes(message), type(record))


@each_codec
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda good: good[:0], "wire format"),
        (lambda good: b"\x01" + good[1:], "wire format"),
        (lambda good: good[:4], "wire format"),
        (lambda good: b"\x00\x00\x00\x03\xe7" + good[5:], "unknown schema id 999"),
        (lambda good: b"\x00\x00\x00\x00\x05" + good[5:], "of the schema Alert, not RawEvent"),
        (lambda good: good[:-1], "not the Avro of a RawEvent"),
    ],
)
def test_a_codec_error_has_the_reason(
    codec: Codec, damage: Callable[[bytes], bytes], message: str
) -> None:
    """Operators read it in headers of dead letters."""
    event = RawEvent(
        event_id="e", type="t", site_id="s", session_id="x", received_at=1, event_ts=1,
        time_source="server",
    )  # fmt: skip
    with pytest.raises(CodecError, match=message):
        codec.decode(damage(codec.encode(event)), RawEvent)


@each_codec
@pytest.mark.parametrize(
    "wrong",
    [
        {"received_at": 2**63},
        {"event_ts": 2**200},
        {"event_ts": None},
        {"duration_ms": 2**63},
        {"duration_ms": 1.5},
        {"title": 5},
        {"title": b"x"},
        {"title": "\ud800"},
        {"site_id": None},
        {"time_source": "sundial"},
        {"amount": Decimal("0.0000001")},
        {"amount": Decimal(10) ** 25},
        {"amount": Decimal("NaN")},
        {"screen": Screen(width="wide")},  # type: ignore[arg-type]
        {"vitals": {"lcp": "slow"}},
        {"truncated": [None]},
        {"truncated": None},
    ],
    ids=repr,
)
def test_a_field_with_an_invalid_value_is_rejected(codec: Codec, wrong: dict[str, Any]) -> None:
    """With `ValueError` or `TypeError`."""
    fields: dict[str, Any] = {
        "event_id": "e", "type": "t", "site_id": "s", "session_id": "x", "received_at": 1,
        "event_ts": 1, "time_source": "server", **wrong,
    }  # fmt: skip
    with pytest.raises((ValueError, TypeError)):
        codec.encode(RawEvent(**fields))
