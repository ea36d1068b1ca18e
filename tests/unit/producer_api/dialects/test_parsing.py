"""Translated events are read by the compiled reader, or fitted and parsed, with the same result."""

from functools import partial
from typing import Any

import msgspec
import pytest

from producer_api.events.client import Client
from producer_api.events.dialects import parsing
from producer_api.events.dialects.fitting import MAX_UNMAPPED_BYTES, UNMAPPED, fit, with_ids
from producer_api.events.dialects.parsing import parse_translated, plain_json
from producer_api.events.draft import EncodedEvent
from producer_api.events.fast_parse import read_fast
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from schemas import codec
from schemas.records import RawEvent
from tests.unit.producer_api.around import CONTEXT, REQUIRED
from tests.unit.producer_api.derivation import BROWSER

pytest.importorskip("producer_api.events.event_compiled", reason="no C compiler")

parsed = partial(parse_translated, context=CONTEXT, client=BROWSER)


def is_read(event: dict[str, Any]) -> bool:
    """Return True if the compiled reader takes an event."""
    plain = plain_json(event)
    return plain is not None and read_fast(plain[0], CONTEXT, BROWSER, plain[1]) is not None


def fitted(event: dict[str, Any]) -> EncodedEvent:
    """Return what the parser makes of a fitted event."""
    return parse(msgspec.json.encode(fit(event)), CONTEXT, BROWSER)


def deep(levels: int) -> dict[str, Any]:
    """Return nested objects."""
    return {"a": deep(levels - 1)} if levels > 1 else {}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, True),
        ({"properties": {"plan": "pro"}, UNMAPPED: {"v": 36}}, True),
        ({"vitals": {"lcp": 1, "inp": None}, "ad_click_ids": {"gclid": None, "fbclid": "a"}}, True),
        ({UNMAPPED: deep(7)}, True),
        ({UNMAPPED: deep(8)}, False),
        ({UNMAPPED: {"text": "{" * 100}}, False),
        ({UNMAPPED: {"text": "x" * (MAX_UNMAPPED_BYTES - 40)}}, True),
        ({UNMAPPED: {"text": "x" * MAX_UNMAPPED_BYTES}}, False),
        ({UNMAPPED: {"library": "@segment/analytics-next", "url": "/a?b"}}, True),
        ({UNMAPPED: {"url": "/a?email=ada@shop.example"}}, True),
        ({UNMAPPED: {"url": "/a#ada%2540shop.example"}}, True),
        ({UNMAPPED: {"url": "/a?b#c?email=ada%40shop.example"}}, True),
        ({UNMAPPED: {"a": "???###", "b": "ada@shop.example"}}, True),
        ({UNMAPPED: {"text": "a\0b"}}, False),
        ({"amount": 5, "currency": "EUR"}, False),
        ({"title": 404}, False),
        ({"title": "x" * 2_000}, False),
        ({"own": 1}, False),
        ({"ip": "203.0.113.7"}, False),
        ({"duration": -1}, False),
        ({"title": "x" * 70_000}, False),
    ],
)
def test_both_ways_have_the_same_result(members: dict[str, Any], expected: bool) -> None:
    """The compiled reader takes what `fit` would not change."""
    event = with_ids(REQUIRED | members)

    assert is_read(event) is expected
    assert parsed(event) == fitted(event)


def test_an_event_that_is_still_too_large_is_rejected() -> None:
    """As one of our own API."""
    click_ids = {f"network {number}": "x" * 500 for number in range(200)}

    with pytest.raises(Rejected, match="event_too_large"):
        parsed(with_ids(REQUIRED | {"ad_click_ids": click_ids}))


def test_a_visitor_who_opts_out_is_not_in_extra() -> None:
    """The compiled reader does not take such events."""
    event = REQUIRED | {UNMAPPED: {"gclid": "x", "os": "Linux"}}

    record = codec.decode(parsed(event, client=Client(opts_out=True)).value, RawEvent)

    assert record.extra == '{"unmapped":{"os":"Linux"}}'


def test_an_event_that_is_many_times_too_large_is_rejected() -> None:
    """Although its properties could be cut."""
    with pytest.raises(Rejected) as rejected:
        parsed(REQUIRED | {"properties": {"text": "x" * 300_000}})
    assert rejected.value.reason.code == "event_too_large"


def test_without_the_compiled_module_the_result_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then every event is fitted and parsed."""
    event = with_ids(REQUIRED | {"properties": {"plan": "pro"}, UNMAPPED: {"v": 36}})
    compiled = parsed(event)
    monkeypatch.setattr(parsing, "read_fast", lambda *_: None)

    assert parsed(event) == compiled
