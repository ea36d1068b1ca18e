"""Encodings and times of requests of PostHog's clients, and their responses."""

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

from producer_api.events.dialects.model import AGE, Event, Outcome
from producer_api.events.dialects.posthog import (
    is_posthog_batch,
    respond,
    respond_config,
    respond_config_script,
    respond_definitions,
    respond_flags,
    respond_list,
    respond_script,
    respond_unstored,
    translate,
)
from producer_api.events.request import Request
from tests.unit.producer_api.dialects.requests import ACCEPTED, NOTHING, REJECTED, post


def _events(sent: Any) -> list[Event]:
    events = translate(post({"api_key": "shop", "batch": [sent]}))
    assert {event.pop("site_id") for event in events} == {"shop"}
    return [{name: value for name, value in event.items() if value} for event in events]


def _event(name: str, /, **properties: Any) -> Event:
    [event] = _events({"event": name, "properties": properties})
    return event


_BATCH = {"api_key": "shop", "batch": [{"event": "a"}, {"event": "b"}]}
_PLAIN = json.dumps(_BATCH).encode()
_BASE64 = base64.b64encode(_PLAIN).decode()


@pytest.mark.parametrize(
    "request_",
    [
        post(_PLAIN),
        post(b" " + _PLAIN),
        post(gzip.compress(_PLAIN)),
        post(f"data={quote(_BASE64)}".encode()),
        post(f"data={quote(_PLAIN)}&compression=".encode()),
        post(_BASE64.encode()),
        Request("GET", "/e", f"data={quote(_BASE64)}&ip=1"),
        post([{"event": "a", "api_key": "shop"}, {"event": "b", "properties": {"token": "shop"}}]),
    ],
)
def test_encodings(request_: Request) -> None:
    """As clients of all versions send them."""
    events = translate(request_)

    assert [(event["site_id"], event["event_name"]) for event in events] == [
        ("shop", "a"),
        ("shop", "b"),
    ]


def test_a_single_event() -> None:
    """The capture API of servers."""
    [event] = translate(
        post({"type": "capture", "api_key": "shop", "event": "a", "distinct_id": "u1"})
    )

    assert (event["site_id"], event["type"], event["user_id"]) == ("shop", "custom_event", "u1")


@pytest.mark.parametrize(
    ("members", "query", "sent_at"),
    [
        ({"sent_at": "2026-11-29T09:00:02Z"}, "_=1000", "2026-11-29T09:00:02Z"),
        ({}, "_=1500", "1970-01-01T00:00:01.500000+00:00"),
        ({}, "", None),
        ({"sent_at": "2026-11-29T09:00:02Z", "historical_migration": True}, "", None),
    ],
)
def test_the_time_of_sending(members: dict[str, Any], query: str, sent_at: str | None) -> None:
    """It does not correct the times of old events."""
    body = json.dumps({**_BATCH, **members}).encode()

    events = translate(Request("POST", "/batch", query, body=body))

    assert [event["sent_at"] for event in events] == [sent_at, sent_at]


def test_a_client_may_turn_off_the_correction_of_its_clock() -> None:
    """By a property."""
    event = {"event": "a", "properties": {"$ignore_sent_at": True}}

    [event] = translate(post({**_BATCH, "batch": [event], "sent_at": "2026-11-29T09:00:02Z"}))

    assert event["sent_at"] is None


def test_an_offset_is_the_age_of_an_event() -> None:
    """As clients send it that keep events while they are offline."""
    [event] = _events({"event": "a", "offset": 2500})

    assert event[AGE] == 2500
    assert "timestamp" not in event


@pytest.mark.parametrize(
    "batch",
    [None, [], 1, "a", [None], [[]], ["a"], [{"event": None, "properties": "a"}], {"event": 1}],
)
def test_wrong_types_are_events_all_the_same(batch: Any) -> None:
    """No value is an error."""
    translate(post({"api_key": "shop", "batch": batch}))
    translate(post({"api_key": batch, "batch": [{"event": batch, "timestamp": batch}]}))


def test_batches_of_amplitude_are_no_batches_of_posthog() -> None:
    """They share a path."""
    assert is_posthog_batch(post(_BATCH))
    assert is_posthog_batch(post(b"\x1f\x8b"))
    assert not is_posthog_batch(post({"api_key": "shop", "events": []}))


@pytest.mark.parametrize("outcome", [ACCEPTED, NOTHING])
def test_the_response(outcome: Outcome) -> None:
    """Only 200 counts as success."""
    reply = respond(post({}), outcome)

    assert (reply.status, json.loads(reply.body)) == (200, {"status": 1})


def test_the_response_to_a_rejection() -> None:
    """A status that the clients do not retry."""
    assert respond(post({}), REJECTED).status == 403


def test_the_configuration_enables_nothing_that_needs_more_programs() -> None:
    """A member for surveys would make the client load one."""
    request = Request("GET", "/array/shop/config")

    config = json.loads(respond_config(request, NOTHING).body)

    assert config["analytics"] == {"endpoint": "/i/v0/e/"}
    assert not config["sessionRecording"]
    assert "surveys" not in config


def test_the_configuration_as_a_script() -> None:
    """The key is that of any request, so it is escaped."""
    reply = respond_config_script(Request("GET", '/array/"x/config.js'), NOTHING)

    assert reply.content_type == "application/javascript"
    assert b'["\\"x"]={"config":{' in reply.body


def test_feature_flags_and_recordings() -> None:
    """There are none."""
    assert json.loads(respond_flags(post({}), NOTHING).body)["flags"] == {}
    assert json.loads(respond_definitions(post({}), NOTHING).body)["flags"] == []
    assert respond_unstored(post({}), NOTHING).status == 200


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/surveys", "surveys"),
        ("/api/early_access_features", "earlyAccessFeatures"),
        ("/api/product_tours", "product_tours"),
        ("/api/web_experiments", "experiments"),
    ],
)
def test_what_a_site_configures_in_posthog_is_empty(path: str, name: str) -> None:
    """The client logs an error without the list."""
    reply = respond_list(Request("GET", path, "token=shop"), NOTHING)

    assert json.loads(reply.body) == {name: []}


def test_a_program_that_is_not_served_logs_an_error() -> None:
    """In the console of the page, which shows no body of a failed request."""
    reply = respond_script(Request("GET", "/static/array.js"), NOTHING)

    assert reply.status == 200
    assert b'console.error("headrace does not serve' in reply.body
