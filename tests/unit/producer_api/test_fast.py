import json
from typing import Any

import pytest

from producer_api.fast import read_fast
from producer_api.parse import parse
from schemas.event_types import EVENT_TYPES
from tests.contract.producer_api.examples import VALID
from tests.unit.producer_api.around import CONTEXT, REQUIRED

pytest.importorskip("producer_api.event_compiled", reason="no C compiler")


def fast(**fields: Any) -> Any:
    """Return what the fast way reads of an event of the required fields and these."""
    return read_fast(json.dumps(REQUIRED | fields).encode(), CONTEXT)


@pytest.mark.parametrize("name", [name for name in EVENT_TYPES if name != "payment"])
def test_the_examples_are_read_fast(name: str) -> None:
    """And read as the steps read them, to the byte."""
    raw = (VALID / name / "basic.json").read_bytes()

    ready = read_fast(raw, CONTEXT)

    assert ready is not None
    assert ready == parse(raw, CONTEXT)


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
def test_what_good_trackers_send_is_read_fast(fields: dict[str, Any]) -> None:
    """Else nobody would notice that all went the long way."""
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
def test_what_takes_a_decision_is_left_to_the_steps(fields: dict[str, Any]) -> None:
    """Whatever they decide."""
    assert fast(**fields) is None
