import struct
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import SCHEMA_FILES, CodecError, decode, encode
from schemas.records import (
    Alert,
    AlertState,
    PageDuration,
    RawEvent,
    Record,
    Screen,
    SessionState,
    Stamped,
    Utm,
    Visit,
)

longs = st.integers(-(2**63), 2**63 - 1)
ints = st.integers(-(2**31), 2**31 - 1)
doubles = st.floats(allow_nan=False)
texts = st.text(max_size=40) | st.sampled_from(["", "ä€😀" * 1_000, "\u0000\n"])
maybe_text = st.none() | texts
maybe_long = st.none() | longs
amounts = st.integers(-(10**25) + 1, 10**25 - 1).map(lambda units: Decimal(units).scaleb(-6))
ids = st.uuids().map(str)
stamped = st.none() | st.builds(Stamped, texts, longs, ids)

screens = st.builds(
    Screen,
    **dict.fromkeys(("width", "height", "viewport_width", "viewport_height"), maybe_long),
    pixel_ratio=st.none() | doubles,
)
utms = st.builds(
    Utm, **dict.fromkeys(("source", "medium", "campaign", "term", "content"), maybe_text)
)

_BY_KIND: dict[object, st.SearchStrategy[Any]] = {
    str: texts,
    int: longs,
    bytes: st.binary(max_size=60),
    str | None: maybe_text,
    int | None: maybe_long,
    Stamped | None: stamped,
    Screen | None: st.none() | screens,
    Utm | None: st.none() | utms,
    Decimal | None: st.none() | amounts,
    bool: st.booleans(),
    dict[str, int]: st.dictionaries(texts, longs, max_size=3),
    dict[str, str] | None: st.none() | st.dictionaries(texts, texts, max_size=3),
    dict[str, float] | None: st.none() | st.dictionaries(texts, doubles, max_size=3),
    list[str]: st.lists(texts, max_size=3),
}


def built(record_type: type[Any], **given_fields: st.SearchStrategy[Any]) -> Any:
    """Return records whose every field has any value of its kind."""
    kinds = {
        name: kind for name, kind in record_type.__annotations__.items() if name not in given_fields
    }
    fields = {name: _BY_KIND[kind] for name, kind in kinds.items()}
    return st.builds(record_type, **fields, **given_fields)


visits = built(
    Visit,
    state=st.sampled_from(["open", "closed", "withdrawn"]),
    close_reason=st.sampled_from([None, "idle", "merged"]),
)
RECORDS: dict[type[Record], st.SearchStrategy[Any]] = {
    RawEvent: built(RawEvent, time_source=st.sampled_from(["client", "clamped", "server"])),
    SessionState: built(SessionState, visits=st.lists(visits, max_size=2)),
    PageDuration: built(PageDuration, partition=ints),
    AlertState: built(AlertState),
    Alert: built(Alert),
}
records = st.one_of(*RECORDS.values())
kinds = st.sampled_from(list(RECORDS))


@pytest.mark.parametrize("record_type", RECORDS)
@given(data=st.data())
def test_what_was_encoded_is_decoded(record_type: type[Record], data: st.DataObject) -> None:
    """Negative numbers, any text, maps and exact amounts included."""
    record = data.draw(RECORDS[record_type])

    assert decode(encode(record), record_type) == record


@given(records, st.binary(min_size=1, max_size=8))
def test_bytes_behind_the_end_are_refused(record: Record, more: bytes) -> None:
    """They are a sign that something else wrote them."""
    with pytest.raises(CodecError, match="behind the end"):
        decode(encode(record) + more, type(record))


def _decodes_or_says_why(message: bytes, record_type: type[Record]) -> None:
    with suppress(CodecError):
        assert isinstance(decode(message, record_type), record_type)


@given(st.binary(max_size=200), kinds)
def test_any_bytes_are_a_record_or_a_codec_error(message: bytes, record_type: type[Record]) -> None:
    """Whatever stands in a topic, nothing else is raised."""
    _decodes_or_says_why(message, record_type)


@given(st.sampled_from(list(SCHEMA_FILES)), st.binary(max_size=300), kinds)
def test_any_body_is_a_record_or_a_codec_error(
    schema_id: int, body: bytes, record_type: type[Record]
) -> None:
    """Behind a good beginning, too."""
    _decodes_or_says_why(struct.pack(">bI", 0, schema_id) + body, record_type)


@given(records, st.data())
def test_a_damaged_record_is_a_record_or_a_codec_error(record: Record, data: st.DataObject) -> None:
    """Cut off anywhere, or with any byte changed."""
    message = bytearray(encode(record))
    at = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(CodecError):
        decode(bytes(message[:at]), type(record))

    message[at] = data.draw(st.integers(0, 255))
    _decodes_or_says_why(bytes(message), type(record))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda good: good[:0], "wire format"),
        (lambda good: b"\x01" + good[1:], "wire format"),
        (lambda good: good[:4], "wire format"),
        (lambda good: b"\x00\x00\x00\x03\xe7" + good[5:], "unknown schema id 999"),
        (lambda good: b"\x00\x00\x00\x00\x05" + good[5:], "of the schema Alert, not RawEvent"),
        (lambda good: good[:-1], "not the Avro of a RawEvent"),
    ],
)
def test_a_codec_error_says_what_is_wrong(make: Callable[[bytes], bytes], says: str) -> None:
    """Its message stands in the dead letter topic, where an operator reads it."""
    event = RawEvent(
        event_id="e", type="t", site_id="s", session_id="x", received_at=1, event_ts=1,
        time_source="server",
    )  # fmt: skip
    with pytest.raises(CodecError, match=says):
        decode(make(encode(event)), RawEvent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"received_at": 2**63},
        {"event_ts": 2**200},
        {"event_ts": None},
        {"duration_ms": 2**63},
        {"duration_ms": 1.5},
        {"title": 5},
        {"title": "\ud800"},
        {"site_id": None},
        {"time_source": "sundial"},
        {"amount": Decimal("0.0000001")},
        {"amount": Decimal(10) ** 25},
        {"amount": Decimal("NaN")},
        {"screen": Screen(width="wide")},  # type: ignore[arg-type]
        {"vitals": {"lcp": "slow"}},
        {"truncated": [None]},
    ],
    ids=repr,
)
def test_a_field_of_a_wrong_kind_is_not_encoded(wrong: dict[str, Any]) -> None:
    """It ends as the `ValueError` or `TypeError` that `encode` promises, and no half record."""
    fields: dict[str, Any] = {
        "event_id": "e", "type": "t", "site_id": "s", "session_id": "x", "received_at": 1,
        "event_ts": 1, "time_source": "server", **wrong,
    }  # fmt: skip
    with pytest.raises((ValueError, TypeError)):
        encode(RawEvent(**fields))
