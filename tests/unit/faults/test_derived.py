"""The derivation of the fault suite: examples of the contract, worked out by hand."""

import ast
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from producer_api.events.client import Client
from producer_api.events.derive.steps import derive
from producer_api.http.intake import parse_event
from schemas.codec import encode
from schemas.records import RawEvent
from tests.faults.decoded import RawRecord, fields_of, record_differences
from tests.faults.derived import event_time, record_of
from tests.faults.traffic import Traffic
from tests.unit.producer_api.around import CONTEXT as PLAIN
from tests.unit.producer_api.around import NOW
from tests.unit.producer_api.derivation import LOOKUPS

CONTEXT = replace(PLAIN, derive=partial(derive, LOOKUPS))
_NOON = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
_SECOND = 1_000_000
_FAULTS = Path(__file__).parents[2] / "faults"
#: What the fault suite compares with, and what it must not use for it.
_ORACLE = (
    "checks",
    "decoded",
    "derived",
    "details",
    "differences",
    "enriched",
    "ledger",
    "traffic",
)
_RULES = ("producer_api", "streams", "sinks.rows", "schemas.codec", "schemas.paths")


def body(**fields: Any) -> dict[str, Any]:
    """Return an event as it is sent."""
    event_id = "0B7D1E2C-1111-4222-8333-444455556666"
    return {"event_id": event_id, "type": "copy", "site_id": "a", "session_id": "s", **fields}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, (_NOON, "server")),
        ({"timestamp": "2026-01-01T11:59:59Z"}, (_NOON - _SECOND, "client")),
        ({"timestamp": "2026-01-01T12:59:59+01:00"}, (_NOON - _SECOND, "client")),
        ({"timestamp": "2025-12-31T11:59:59Z"}, (_NOON - 86_400 * _SECOND, "clamped")),
        ({"timestamp": "2026-01-01T12:05:01Z"}, (_NOON + 300 * _SECOND, "clamped")),
        (
            {"timestamp": "2020-05-05T00:00:00Z", "sent_at": "2020-05-05T00:00:10Z"},
            (_NOON - 10 * _SECOND, "client"),
        ),
    ],
)
def test_the_time_of_an_event(times: dict[str, str], expected: tuple[int, str]) -> None:
    """The client's, corrected by `sent_at` and clamped to 24 hours and 5 minutes."""
    assert event_time(body(**times), _NOON, imported=False) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"title": "t" * 1_025}, {"title": "t" * 1_024, "truncated": ["title"]}),
        ({"error_stack": "a" + "é" * 1_024}, {"error_stack": "a" + "é" * 1_023}),
        ({"title": "a\0"}, {"title": "a\ufffd"}),
        ({"properties": {"\0": ["\0"]}}, {"properties": {"\ufffd": ["\ufffd"]}}),
        ({"duration": 2.5}, {"duration_ms": 3}),
        (
            {"screen": {"width": -1.5, "tilt": 1}},
            {"screen": {"width": -1}, "extra": {"screen": {"tilt": 1}}},
        ),
        ({"new": "z" * 9_000}, {"extra": None, "truncated": ["extra"]}),
        ({"currency": "eur", "visitor_id": ""}, {"currency": "EUR", "visitor_id": None}),
        ({"utm": {"source": None}, "ad_click_ids": {}}, {"utm": None, "ad_click_ids": None}),
        ({"url": "https://a.example/ü"}, {"hostname": "a.example", "path": "/%C3%BC"}),
        ({"referrer": "https://b.example/"}, {"source": "b.example", "channel": "Referral"}),
        ({"ad_click_ids": {"gclid": "1"}}, {"source": "Google", "channel": "Paid Search"}),
        ({"user_agent": "Mozilla/5.0 (X11; Linux x86_64)"}, {"os": "Linux", "device": "desktop"}),
    ],
)
def test_fields_follow_the_contract(sent: dict[str, Any], expected: dict[str, Any]) -> None:
    """They are truncated, cleaned, rounded or stored in `extra`."""
    record = record_of(body(**sent), _NOON)

    assert {name: record[name] for name in expected} == expected


def test_a_record_is_compared_in_key_headers_and_value() -> None:
    """Exactly the differences are found."""
    sent = body(title="Basket")
    event = RawEvent(
        event_id=sent["event_id"].lower(),
        type="copy",
        site_id="a",
        session_id="s",
        received_at=_NOON,
        event_ts=_NOON,
        time_source="server",
        title="basket",
        channel="Direct",
    )
    headers = {"id": bytes(16), "type": b"error", "client-id": b""}
    record = RawRecord(0, 0, b"a:t", headers, fields_of(encode(event)))

    found = [difference.split(" is ")[0] for difference in record_differences(record, sent)]

    assert found == ["title", "key", "header id", "header type"]


@pytest.mark.parametrize("change", ["truncated", "extended", "another schema", "no magic byte"])
def test_an_invalid_record_is_an_error(change: str) -> None:
    """It is not decoded partially."""
    event = RawEvent(
        event_id="0b7d1e2c-1111-4222-8333-444455556666",
        type="copy",
        site_id="a",
        session_id="s",
        time_source="server",
        received_at=_NOON,
        event_ts=_NOON,
    )
    value = encode(event)
    changed = {
        "truncated": value[:-1],
        "extended": value + b"\0",
        "another schema": b"\0\0\0\0\2" + value[5:],
        "no magic byte": b"\1" + value[1:],
    }

    with pytest.raises(ValueError, match=r"fastavro|after the record|begins with"):
        fields_of(changed[change])


@pytest.mark.parametrize(
    "module", [*(_FAULTS / f"{name}.py" for name in _ORACLE), _FAULTS.parent / "reference.py"]
)
def test_the_oracle_uses_no_rule_of_the_product(module: Path) -> None:
    """Otherwise a bug would be on both sides of the comparison."""
    imported = [
        name
        for node in ast.walk(ast.parse(module.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    ]
    assert imported
    assert [name for name in imported if name.startswith(_RULES)] == []


def test_the_oracle_derives_what_the_server_derives() -> None:
    """For thousands of events of the faults' traffic, which differ in all fields."""
    traffic, client = Traffic(seed=1), Client("127.0.0.1", "Python/3.11 aiohttp/3.14.1")
    sent = [event for event in (traffic.event() for _ in range(3_000)) if event.is_valid]
    for event in sent:
        raw = json.dumps(event.body).encode()
        record = fields_of(parse_event(raw, CONTEXT, client, never_clamp=False).value)
        expected = record_of(event.body, NOW, header=client.user_agent)

        assert {name: record[name] for name in expected} == expected
