import json
from typing import Any

import pytest

from producer_api.events.client import NO_CLIENT
from producer_api.events.fast_parse import read_fast
from producer_api.events.parse import parse
from schemas.event_types import EVENT_TYPES
from tests.contract.producer_api.examples import VALID
from tests.unit.producer_api.around import CONTEXT, REQUIRED

pytest.importorskip("producer_api.events.event_compiled", reason="no C compiler")


def fast(**fields: Any) -> Any:
    """Return the result of the fast path for an event with the required fields and `fields`."""
    return read_fast(json.dumps(REQUIRED | fields).encode(), CONTEXT, NO_CLIENT)


@pytest.mark.parametrize("name", [name for name in EVENT_TYPES if name != "payment"])
def test_the_examples_take_the_fast_path(name: str) -> None:
    """The result equals that of `parse`."""
    raw = (VALID / name / "basic.json").read_bytes()

    encoded = read_fast(raw, CONTEXT, NO_CLIENT)

    assert encoded is not None
    assert encoded == parse(raw, CONTEXT)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"event_id": None, "title": None, "screen": None, "utm": None, "duration": None},
        {"timestamp": "2026-01-31T12:00:00Z", "sent_at": "2026-01-31T13:00:00.5+01:00"},
        {"title": 'Rote "Schuhe"', "url": "https://shop.example/schön?a=\n"},
        {"screen": {"width": 1920, "pixel_ratio": 2}, "vitals": {"lcp": 1, "cls": 0.25}},
        {"duration": 1234.5},
        {"properties": {"a": {"b": [1, {"c": None}]}}},
        {"site_id": "archive", "timestamp": "1999-01-31T12:00:00Z"},
    ],
)
def test_typical_events_take_the_fast_path(fields: dict[str, Any]) -> None:
    """A regression would otherwise only show in performance."""
    assert fast(**fields) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"own": 1},
        {"type": "payment", "amount": "1.00", "currency": "EUR"},
        {"title": "x" * 1025},
        {"title": "a\0"},
        {"visitor_id": ""},
        {"user_id": "a\x7f"},
        {"site_id": "a b"},
        {"event_id": "1"},
        {"utm": {"own": "x"}},
        {"screen": {"width": 1.5}},
        {"timestamp": "2026-01-31"},
        {"properties": {"a": "[[[[[[[["}},
        {"duration": -1},
        {"error_stack": "é" * 1025},
    ],
)
def test_events_that_change_or_are_rejected_are_left_to_parse(fields: dict[str, Any]) -> None:
    """The fast path returns None."""
    assert fast(**fields) is None
