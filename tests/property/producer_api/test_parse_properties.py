import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from producer_api.events.batch import split
from producer_api.events.draft import EventContext
from producer_api.events.fields import FIELDS, MAX_STACK_BYTES
from producer_api.events.import_sites import ImportSites
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from producer_api.events.times import MAX_AGE_US, MAX_LEAD_US, microseconds
from producer_api.http.responses import error_response
from schemas import codec
from schemas.event_types import EVENT_TYPES
from schemas.records import RawEvent
from schemas.topics import MAX_RECORD_BYTES

NOW = 1_769_860_800_000_000
CONTEXT = EventContext(
    lambda: NOW, lambda: "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11", ImportSites((), lambda: NOW)
)

# Including lone surrogates, NUL and numbers out of range.
TEXTS = st.text(st.characters(), max_size=20)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
JSON = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)), max_leaves=12
)
GOOD = {
    "type": st.sampled_from(list(EVENT_TYPES)),
    "site_id": st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    "session_id": st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128),
}
NAMES = st.sampled_from([*FIELDS, *GOOD, "timestamp", "sent_at", "event_id", "own"])
PLAUSIBLE = st.fixed_dictionaries(
    GOOD,
    optional={
        "timestamp": st.one_of(st.datetimes().map(lambda moment: moment.isoformat()), JSON),
        "sent_at": st.datetimes().map(lambda moment: moment.isoformat()),
        "event_id": st.uuids().map(str),
        "title": st.text(max_size=2000),
        "error_stack": st.text(max_size=3000),
        "duration": st.one_of(st.floats(), st.integers()),
        "amount": st.one_of(st.floats(), st.integers(), st.decimals().map(str)),
        "currency": st.text("ABCabc", min_size=3, max_size=3),
        "screen": st.dictionaries(st.sampled_from(["width", "height", "pixel_ratio", "x"]), LEAVES),
        "utm": st.dictionaries(st.sampled_from(["source", "term", "x"]), TEXTS),
        "vitals": st.dictionaries(st.sampled_from(["lcp", "cls", "x"]), LEAVES),
        "ad_click_ids": st.dictionaries(TEXTS, TEXTS),
        "properties": st.dictionaries(TEXTS, JSON),
        "own": JSON,
    },
)


def parsed(raw: bytes) -> RawEvent | None:
    """Parse and decode an event; return None if it is rejected with a valid error response."""
    try:
        return codec.decode(parse(raw, CONTEXT).value, RawEvent)
    except Rejected as rejected:
        error_response(rejected)
        return None


def as_json(value: Any) -> bytes:
    """Return JSON by Python's own encoder, which allows NaN and lone surrogates."""
    return json.dumps(value).encode()


@given(st.binary())
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
def test_any_bytes_are_an_event_or_rejected(raw: bytes) -> None:
    """Nothing else is ever raised."""
    parsed(raw)


@given(st.one_of(JSON, st.dictionaries(NAMES, JSON)))
def test_any_json_is_an_event_or_rejected(value: Any) -> None:
    """Nothing else is ever raised."""
    parsed(as_json(value))


@given(PLAUSIBLE)
def test_an_accepted_event_survives_kafka(fields: dict[str, Any]) -> None:
    """The decoded event is equal, within the record size limit, and contains no NUL."""
    accepted = parsed(as_json(fields))
    if accepted is None:
        return
    message = codec.encode(accepted)

    assert message == parse(as_json(fields), CONTEXT).value
    assert len(message) < MAX_RECORD_BYTES
    assert b"\\u0000" not in as_json(without_numbers(accepted)).replace(b"\\\\", b"")


def without_numbers(event: RawEvent) -> Any:
    """Return the strings of an event, with JSON fields decoded."""
    texts = {
        name: value
        for name in RawEvent.__struct_fields__
        if isinstance(value := getattr(event, name), str)
    }
    read = [json.loads(texts.pop(name)) for name in ("properties", "extra") if name in texts]
    return [texts, read, event.ad_click_ids, event.truncated]


@given(PLAUSIBLE)
def test_the_time_of_an_accepted_event_is_within_the_limits(fields: dict[str, Any]) -> None:
    """Whatever the client's clock says."""
    accepted = parsed(as_json(fields))

    if accepted is not None:
        assert NOW - MAX_AGE_US <= accepted.event_ts <= NOW + MAX_LEAD_US


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3000))
def test_truncation_keeps_whole_characters(text: str) -> None:
    """The longest prefix within the limit is kept."""
    event = parsed(
        as_json({"type": "error", "site_id": "a", "session_id": "s", "error_stack": text})
    )
    assert event is not None
    kept = event.error_stack or ""

    assert text.startswith(kept)
    assert len(kept.encode()) <= MAX_STACK_BYTES
    assert kept == text or len((kept + text[len(kept)]).encode()) > MAX_STACK_BYTES
    assert event.truncated == ([] if kept == text else ["error_stack"])


@given(st.text(max_size=70))
def test_any_text_is_a_time_or_rejected(text: str) -> None:
    """Nothing else is ever raised."""
    with suppress(Rejected):
        microseconds("timestamp", text)


@given(st.binary(max_size=200))
@example(b'{"events"')
@example(b'{"events":')
@example(b'["\\')
def test_any_bytes_are_a_batch_or_rejected(body: bytes) -> None:
    """Nothing else is ever raised."""
    for content_type in (b"", b"application/x-ndjson"):
        with suppress(Rejected):
            split(body, content_type)


@given(st.lists(st.one_of(JSON, PLAUSIBLE), min_size=1, max_size=20), st.booleans())
def test_a_batch_is_split_into_exactly_its_events(events: list[Any], wrapped: bool) -> None:
    """Also if some of them are invalid JSON."""
    batch = {"a": "]", "events": events, "b": 1} if wrapped else events
    found = split(as_json(batch), b"")

    assert [as_json(json.loads(event)) for event in found] == [as_json(event) for event in events]
