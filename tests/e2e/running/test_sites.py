"""Registered sites in a running `headrace up`."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

#: A change takes effect in every process within this time.
_EFFECTIVE_SECONDS = 5
_SITE = "registered"
_PAYMENT = {"type": "payment", "site_id": _SITE, "session_id": "s", "amount": 5, "currency": "EUR"}


def _send(stack: Stack, event: dict[str, Any], **headers: str) -> str:
    """Send an event, and return `accepted` or the code of its rejection."""
    body = json.dumps(event).encode()
    request = urllib.request.Request(f"{stack.url}/api/event", body, headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return str(json.load(response)["status"])
    except urllib.error.HTTPError as error:
        return str(json.load(error)["code"])


def _until(stack: Stack, code: str, event: dict[str, Any], **headers: str) -> None:
    eventually(
        lambda: _send(stack, event, **headers) == code,
        within_seconds=_EFFECTIVE_SECONDS,
        what=f"{event['type']} of {event['site_id']} is {code}",
    )


def _rows(stack: Stack, table: str) -> list[dict[str, Any]]:
    return stack.rows(f"SELECT * FROM {table} WHERE site_id = ?", [_SITE])  # noqa: S608


def test_a_site_gets_rules_and_a_key_while_it_runs(stack: Stack) -> None:
    """Any site is accepted at first; rules, keys and their removal take effect within 5 s."""
    assert "Any site id is accepted" in stack.screen
    assert _send(stack, _PAYMENT) == "accepted"

    stack.headrace("sites", "add", _SITE, "--origin", "https://shop.example")
    view = {"type": "pageview", "site_id": _SITE, "session_id": "s"}
    _until(stack, "origin_not_allowed", view, Origin="https://evil.example")
    assert _send(stack, view, Origin="https://shop.example") == "accepted"

    key = stack.headrace("keys", "create", "--site", _SITE).split()[-1]
    _until(stack, "key_required", _PAYMENT, Origin="https://shop.example")
    assert _send(stack, _PAYMENT, Authorization=f"Bearer {key}") == "accepted"
    assert _send(stack, _PAYMENT, Authorization="Bearer hrk_wrong") == "bad_key"
    eventually(
        lambda: {row["trust"] for row in _rows(stack, "events")} == {"open", "origin", "key"},
        within_seconds=30,
        what="the events are stored with their trust",
    )
    assert len(_rows(stack, "sites")) == 1

    stack.headrace("sites", "remove", _SITE, "--yes")
    for table in ("sites", "site_keys", "events"):
        assert _rows(stack, table) == []
    _until(stack, "accepted", view, Origin="https://evil.example")
