"""Registered sites in a running `headrace up`."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

#: A change takes effect in every process within this time.
_EFFECTIVE_SECONDS = 5
_PAYMENT = {"type": "payment", "site_id": "shop", "session_id": "s", "amount": 5, "currency": "EUR"}


def _headrace(stack: Stack, *arguments: str) -> list[str]:
    argv = [sys.executable, "-m", "headrace", *arguments, "--data-dir", str(stack.data_dir)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()


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


def test_a_site_gets_rules_and_a_key_while_it_runs(make_stack: MakeStack) -> None:
    """Any site is accepted at first; rules, keys and their removal take effect within 5 s."""
    stack = make_stack({})
    assert "Any site id is accepted" in stack.screen
    assert _send(stack, _PAYMENT) == "accepted"

    _headrace(stack, "sites", "add", "shop", "--origin", "https://shop.example")
    view = {"type": "pageview", "site_id": "shop", "session_id": "s"}
    _until(stack, "origin_not_allowed", view, Origin="https://evil.example")
    assert _send(stack, view, Origin="https://shop.example") == "accepted"

    key = _headrace(stack, "keys", "create", "--site", "shop")[-1]
    _until(stack, "key_required", _PAYMENT, Origin="https://shop.example")
    assert _send(stack, _PAYMENT, Authorization=f"Bearer {key}") == "accepted"
    assert _send(stack, _PAYMENT, Authorization="Bearer hrk_wrong") == "bad_key"
    eventually(
        lambda: (
            {row["trust"] for row in stack.rows("SELECT trust FROM events")}
            == {"open", "origin", "key"}
        ),
        within_seconds=30,
        what="the events are stored with their trust",
    )
    assert stack.rows("SELECT site_id FROM sites") == [{"site_id": "shop"}]

    _headrace(stack, "sites", "remove", "shop", "--yes")
    assert stack.rows("SELECT site_id FROM sites") == []
    assert stack.rows("SELECT site_id FROM site_keys") == []
    assert stack.rows("SELECT event_id FROM events") == []
    _until(stack, "accepted", view, Origin="https://evil.example")
