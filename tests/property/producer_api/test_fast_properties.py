import json
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producer_api.events.client import NO_CLIENT, OPEN_GRANT, Client, Grant, SitePolicy
from producer_api.events.derive import steps
from producer_api.events.derive.steps import derive
from producer_api.events.draft import EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from schemas import codec
from schemas.headers import CLIENT_ID, find
from schemas.records import RawEvent
from tests.fixtures.examples import at_most
from tests.fixtures.interpreted import interpreted
from tests.property.producer_api.test_parse_properties import CONTEXT, JSON, NOW, PLAUSIBLE, as_json
from tests.unit.producer_api.derivation import CHROME, LOOKUPS

pytest.importorskip("producer_api.events.event_compiled", reason="no C compiler")
NAMES = ("title", "url", "visitor_id", "session_id", "utm", "screen", "ad_click_ids", "vitals")
#: Values that are stored unchanged, or nearly.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128)
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
FLAT = st.dictionaries(TEXTS, st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS), max_size=4)
TIMES = st.builds(
    lambda moment, separator, zone: moment.isoformat(separator) + zone,
    st.datetimes(),
    st.sampled_from("TTTt _"),
    st.sampled_from(["Z", "Z", "+00:00", "+05:30", "-0230", "+01", "", "z", "+01:00:30", "junk"]),
)
URLS = st.builds(
    "https://{}/{}?{}={}".format,
    st.sampled_from(["shop.example", "www.google.com", "t.co", "10.0.0.1", "bücher.example"]),
    TEXTS,
    st.sampled_from(["utm_source", "ref", "gclid", "utm_medium", "email", "%67clid"]),
    st.sampled_from(["google-ads", "cpc", "", "ada@example.com", "%00", "a&gclid=b#c"]),
)
USER_AGENTS = [CHROME, "curl/8", "Googlebot/2.1", ""]
CLIENTS = st.builds(
    Client,
    address=st.sampled_from(["", "8.8.8.8", "2001:db8::1", "unknown"]),
    user_agent=st.one_of(st.sampled_from(USER_AGENTS), TEXTS),
    language=st.sampled_from(["", "de-AT,de", "*"]),
    country=st.sampled_from(["", "AT", "XX"]),
    opts_out=st.booleans(),
)
GRANTS = st.builds(
    Grant,
    trust=st.sampled_from(["key", "origin", "open"]),
    policy=st.builds(SitePolicy, st.booleans(), st.booleans(), st.booleans()),
)
#: Similar to typical events: some take the fast path, some do not.
GOOD = {
    "type": st.just("pageview"),
    "site_id": st.sampled_from(["shop", "archive", "a" * 64]),
    "session_id": IDS,
}
NEAR = st.fixed_dictionaries(
    GOOD,
    optional={
        "event_id": st.one_of(st.none(), st.uuids().map(str), st.uuids().map(lambda u: u.hex)),
        "timestamp": TIMES,
        "sent_at": st.one_of(st.none(), TIMES),
        "visitor_id": st.one_of(st.just(""), IDS),
        "user_id": st.one_of(st.none(), IDS),
        "title": st.one_of(st.none(), TEXTS, st.just("x" * 1025)),
        "error_stack": st.one_of(TEXTS, st.just("é" * 1025)),
        "duration": NUMBERS,
        "screen": st.dictionaries(st.sampled_from(["width", "viewport_height"]), st.integers()),
        "utm": st.dictionaries(st.sampled_from(["source", "term", "x"]), TEXTS),
        "ad_click_ids": st.dictionaries(TEXTS, TEXTS),
        "vitals": st.dictionaries(st.sampled_from(["lcp", "cls", "inp"]), NUMBERS),
        "properties": st.one_of(FLAT, st.dictionaries(TEXTS, JSON)),
        "amount": NUMBERS,
        "own": TEXTS,
        "url": st.one_of(TEXTS, URLS),
        "referrer": st.one_of(TEXTS, URLS),
        "hostname": st.one_of(TEXTS, st.just("shop.example")),
        "user_agent": st.one_of(TEXTS, st.sampled_from(USER_AGENTS)),
    },
)


def context_of(grant: Grant, derive: Any) -> EventContext:
    """Return a context with these steps of derivation."""
    return EventContext(
        CONTEXT.now,
        CONTEXT.new_id,
        CONTEXT.import_sites,
        authorize=lambda *_: grant,
        derive=partial(derive, LOOKUPS),
    )


def check(raw: bytes, client: Client = NO_CLIENT, grant: Grant = OPEN_GRANT) -> None:
    """Check that the fast path returns None, or the same as `parse`."""
    context = context_of(grant, derive)
    fast = read_fast(raw, context, client)
    if fast is not None:
        assert fast == parse(raw, context, client)


def with_required(**fields: Any) -> bytes:
    """Return an event with the required fields and `fields`."""
    return as_json({"type": "error", "site_id": "a", "session_id": "s", **fields})


@given(st.one_of(NEAR, PLAUSIBLE), st.booleans())
def test_the_fast_path_agrees_with_parse(fields: dict[str, Any], escaped: bool) -> None:
    """With non-ASCII characters in UTF-8 or escaped."""
    raw = json.dumps(fields, ensure_ascii=escaped, indent=None if escaped else 1)

    check(raw.encode(errors="surrogatepass"))


@given(NEAR, CLIENTS, GRANTS)
def test_both_paths_derive_the_same(fields: dict[str, Any], client: Client, grant: Grant) -> None:
    """For any client, any trust and any policy of the site."""
    check(as_json(fields), client, grant)


INTERPRETED = interpreted(steps)


@given(NEAR, CLIENTS, GRANTS)
def test_compiled_steps_derive_the_same(
    fields: dict[str, Any], client: Client, grant: Grant
) -> None:
    """As the same source in the interpreter, for events that `parse` accepts."""
    raw = as_json(fields)
    try:
        compiled = parse(raw, context_of(grant, derive), client)
    except Rejected:
        return

    assert compiled == parse(raw, context_of(grant, INTERPRETED.derive), client)
    assert derive is not INTERPRETED.derive
    assert not steps.__file__.endswith(".py")


@settings(max_examples=at_most(50))
@given(st.fixed_dictionaries(GOOD), st.dictionaries(st.sampled_from(NAMES), JSON))
def test_fields_of_any_type_agree_with_parse(good: dict[str, Any], more: Any) -> None:
    """Typed fields may have any JSON value."""
    check(as_json(good | more))


@given(st.binary())
@example(b"[" * 100_000)
@example(with_required(properties=1).replace(b"1", b'{"a":' * 100_000))
@example(with_required(properties=1)[:-2] + b'{"a":\xff}}')
@example(with_required(title=1)[:-2] + b'"\xff"}')
@example(with_required(title="\ud800"))
@example(with_required(title="a\0b"))
@example(with_required(visitor_id="a\x7f"))
@example(with_required(visitor_id="a\x80"))
@example(with_required(user_id="\x9f"))
@example(with_required(user_id="\xa0\u200b\u2028"))
@example(with_required(event_id="0197C2A4-7d1b-7c3e-9a55-2b8f6d0e4c11"))
@example(with_required(event_id="0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c1g"))
@example(with_required(event_id="0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c1\u0661"))
@example(with_required(event_id="0197c2a47d1b-7c3e-9a55-2b8f6d0e4c11--"))
@example(with_required(timestamp="2024-02-29T00:00:00Z", site_id="archive"))
@example(with_required(timestamp="2023-02-29T00:00:00Z", site_id="archive"))
@example(with_required(timestamp="2000-02-29T23:59:59.9999999-23:59", site_id="archive"))
@example(with_required(timestamp="1900-02-29T00:00:00Z", site_id="archive"))
@example(with_required(timestamp="1969-12-31T23:59:59.999999+00:00", site_id="archive"))
@example(with_required(timestamp="2026-01-31T12:00:00+00:60", site_id="archive"))
@example(with_required(timestamp="2026-01-31T12:00:00.Z", site_id="archive"))
@example(with_required(timestamp="2026-01-31T12:00:00\0Z", site_id="archive"))
@example(with_required(properties={"a\0": 1}))
@example(with_required(vitals={"lcp": 1}).replace(b"1", b"-0"))
@example(with_required(vitals={"lcp": 1}).replace(b"1", b"1e400"))
@example(with_required(vitals={"lcp": 2**63 - 1, "cls": 2**53 + 1}))
@example(with_required(screen={"width": 2**63 - 1, "pixel_ratio": 1}).replace(b": 1}", b": -0}"))
@example(with_required(screen={"width": 2**63}))
@example(with_required(screen={}, utm={}, vitals={}, ad_click_ids={}))
@example(with_required(screen={"width": None}, utm={"term": None}))
@example(with_required(duration=-1))
@example(with_required(duration=0.49999999999999994))
@example(with_required(duration=1).replace(b"1", b"-0.0"))
@example(with_required(duration=1).replace(b"1", b"1.0e3"))
@example(with_required(properties={"a": [[[[[[[1]]]]]]]}))
@example(with_required(properties={"a": [[[[[[[[1]]]]]]]]}))
@example(with_required(properties={"a": "é" * 4093}))
@example(with_required(properties={"a": 1, "b": 1.0, "c": 10**30}))
@example(with_required(properties={"a": 1}).replace(b"1", b"1.50e0"))
@example(with_required(extra=None, truncated=None, time_source=None))
@example(with_required(event_ts=1, received_at=1, duration_ms=1))
@example(with_required(timestamp="2026-01-31T12:00.5+00:00"))
@example(with_required(timestamp="2026-W05-6T12:00:00Z"))
@example(with_required(timestamp="2026-01-31T12:00:00,1234567899Z"))
@example(with_required(timestamp="0001-01-01T00:00:00+01:00", site_id="archive"))
@example(with_required(timestamp="9999-12-31T23:59:59-01:00", site_id="archive"))
@example(with_required(title=1).replace(b"1", b'1, "title": "x"'))
@example(with_required(title="x").replace(b'"x"', b'"x", "title": null'))
@example(with_required(utm={"term": "a"}).replace(b"}}", b'}, "utm": {"source": "b"}}'))
def test_any_bytes_agree_with_parse(raw: bytes) -> None:
    """No exception is raised."""
    check(raw)


@given(st.text("0123456789TtZz:+-., W_", min_size=18, max_size=34))
@example("2026-01-31T12:00:00Z")
@example("2026-01-31T12:00:00.123456+00:00")
def test_any_timestamp_agrees_with_parse(text: str) -> None:
    """The fast path supports RFC 3339 only."""
    check(with_required(timestamp=text, site_id="archive"))


@given(st.datetimes(), st.sampled_from(["Z", "+00:00", "-11:30", "+23:59"]))
def test_every_day_agrees_with_parse(moment: datetime, zone: str) -> None:
    """Including leap years."""
    check(with_required(timestamp=moment.isoformat() + zone, site_id="archive"))


@given(st.integers(0, 40), st.sampled_from("0129TtZz:+-., W_é\u0661"))
def test_every_character_of_a_timestamp_is_validated(position: int, other: str) -> None:
    """A character is replaced or inserted at any position."""
    text = "2026-01-31T12:00:00.123456+00:00"
    for end in (position, position + 1):
        check(with_required(timestamp=text[:position] + other + text[end:], site_id="archive"))


def test_the_clock_and_the_id_generator_are_used() -> None:
    """For an event without a timestamp and without an event id."""
    fast = read_fast(with_required(), CONTEXT, NO_CLIENT)

    assert fast is not None
    event = codec.decode(fast.value, RawEvent)
    assert (event.received_at, event.event_ts, event.event_id) == (NOW, NOW, CONTEXT.new_id())
    assert find(fast.headers, CLIENT_ID) is None
