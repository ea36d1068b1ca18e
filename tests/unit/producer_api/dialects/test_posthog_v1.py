"""Version 1 of PostHog's capture API."""

import json
from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event, Outcome
from producer_api.events.dialects.posthog_v1 import respond, translate
from producer_api.events.request import Request
from tests.unit.producer_api.dialects.requests import ACCEPTED, REJECTED, post

_ID = "0190d6e0-0000-7000-8000-000000000001"
_TIME = "2026-11-29T09:00:00.5Z"
_HEADERS = {
    "authorization": "Bearer shop",
    "posthog_sdk_info": "posthog-node/5.70.0",
    "posthog_request_timestamp": "2026-11-29T09:00:01Z",
}


def _request(**sent: Any) -> Request:
    event = {"event": "a", "uuid": _ID, "distinct_id": "u1", "timestamp": _TIME, **sent}
    return post({"created_at": _TIME, "batch": [event]}, **_HEADERS)


def _event(**sent: Any) -> Event:
    [event] = translate(_request(**sent))
    return {name: value for name, value in event.items() if value}


def test_an_event() -> None:
    """The project, the clock and the client are headers."""
    event = _event(session_id="s1", properties={"plan": "pro"}, options={})

    assert event == {
        "site_id": "shop",
        "type": "custom_event",
        "event_name": "a",
        "event_id": _ID,
        "session_id": "s1",
        "visitor_id": "u1",
        "user_id": "u1",
        "timestamp": _TIME,
        "sent_at": "2026-11-29T09:00:01Z",
        "properties": {"plan": "pro"},
        UNMAPPED: {"$lib": "posthog-node", "$lib_version": "5.70.0"},
    }


def test_options_are_properties_of_the_first_version() -> None:
    """Others are unmapped."""
    options = {"process_person_profile": False, "disable_skew_correction": True, "other": 1}

    event = _event(options=options)

    assert "user_id" not in event
    assert "sent_at" not in event
    assert event[UNMAPPED]["options"] == {"other": 1}


def test_an_alias() -> None:
    """The client says which of both ids is the earlier one."""
    event = _event(event="$create_alias", properties={"alias": "a1"})

    assert (event["visitor_id"], event["user_id"]) == ("a1", "u1")


def test_the_times_of_a_migration_are_exact() -> None:
    """They are not corrected by the clock."""
    [event] = translate(post({"batch": [{"event": "a"}], "historical_migration": True}, **_HEADERS))

    assert event["sent_at"] is None


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome(202, ACCEPTED.results, [{"event_id": _ID}]), {"result": "ok"}),
        (
            Outcome(403, REJECTED.results, [{"event_id": _ID}]),
            {"result": "drop", "details": "Not registered"},
        ),
    ],
)
def test_each_event_has_a_result(outcome: Outcome, result: dict[str, str]) -> None:
    """The clients do not send dropped events again."""
    reply = respond(_request(), outcome)

    assert reply.status == 200
    assert json.loads(reply.body) == {"results": {_ID: result}}


def test_a_request_that_cannot_be_read() -> None:
    """It is an error for all events."""
    assert respond(post(b"{"), Outcome(400, REJECTED.results)).status == 400


@pytest.mark.parametrize("value", [None, 1, "a", [], {}, [None], {"a": [1]}])
def test_wrong_types_are_events_all_the_same(value: Any) -> None:
    """No value is an error."""
    names = ("event", "uuid", "distinct_id", "options", "properties", "session_id", "timestamp")

    assert len(translate(_request(**dict.fromkeys(names, value)))) == 1
    translate(post({"batch": value}))
    assert respond(post({"batch": value}), Outcome(202)).status == 200
