import json
from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event, Outcome
from producer_api.events.dialects.umami import (
    respond,
    respond_to_batch,
    translate,
    translate_batch,
)
from tests.unit.producer_api.dialects.requests import ACCEPTED, NOTHING, REJECTED, post

_REQUEST = post({})


def _events(kind: str = "event", **payload: Any) -> list[Event]:
    message = {"type": kind, "payload": {"website": "shop", **payload}}
    return [
        {name: value for name, value in event.items() if value is not None}
        for event in translate(post(message))
    ]


def _event(kind: str = "event", **payload: Any) -> Event:
    [event] = _events(kind, **payload)
    assert event.pop("site_id") == "shop"
    return event


def test_an_event_without_a_name_is_a_page_view() -> None:
    """An empty name is none."""
    assert _event(name="", url="https://shop.example/") == {
        "type": "pageview",
        "url": "https://shop.example/",
    }


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [
        ("pageview", {}, {"type": "pageview"}),
        (
            "event",
            {"event_name": "signup", "event_data": {"plan": "pro"}},
            {"type": "custom_event", "event_name": "signup", "properties": {"plan": "pro"}},
        ),
        (
            "event",
            {"event_type": "click", "event_value": "signup"},
            {"type": "custom_event", "event_name": "signup", UNMAPPED: {"event_type": "click"}},
        ),
    ],
)
def test_version_1_has_other_names(kind: str, members: Any, expected: Event) -> None:
    """Its pages stay in use after an upgrade of the server."""
    assert _event(kind, **members) == expected


@pytest.mark.parametrize(
    ("url", "hostname", "expected"),
    [
        ("/pricing?utm_source=x", "shop.example", "https://shop.example/pricing?utm_source=x"),
        ("/pricing", None, "/pricing"),
        ("https://shop.example/a#b", "shop.example", "https://shop.example/a#b"),
        ("/pricing", 5, "/pricing"),
        ("", "shop.example", None),
    ],
)
def test_the_url_of_a_server_sdk_is_a_path(url: str, hostname: Any, expected: str | None) -> None:
    """The host is a separate member."""
    assert _event(url=url, hostname=hostname).get("url") == expected


def test_members_with_a_field() -> None:
    """Of the script, the events API and umami-analytics (PyPI)."""
    event = _event(
        name="signup",
        id=42,
        screen="1920x1080",
        language="en-GB",
        title="Sign up",
        referrer="https://news.example/",
        data={"plan": "pro"},
        tag="variant-b",
        ip="203.0.113.7",
        userAgent="App/1",
        timestamp=1_769_860_800,
    )

    assert event == {
        "type": "custom_event",
        "event_name": "signup",
        "user_id": 42,
        "screen": {"width": 1920, "height": 1080},
        "language": "en-GB",
        "title": "Sign up",
        "referrer": "https://news.example/",
        "properties": {"plan": "pro", "tag": "variant-b"},
        "ip": "203.0.113.7",
        "user_agent": "App/1",
        "timestamp": "2026-01-31T12:00:00+00:00",
    }


@pytest.mark.parametrize("source", ["website", "link", "pixel"])
def test_links_and_pixels_are_sites(source: str) -> None:
    """Each has a unique id."""
    [event] = translate(post({"type": "event", "payload": {source: "a1"}}))

    assert event["site_id"] == "a1"


def test_revenue_is_a_payment() -> None:
    """The amount is in major units."""
    event = _event(name="order", data={"revenue": 29.5, "currency": "EUR", "plan": "pro"})

    assert event == {
        "type": "payment",
        "event_name": "order",
        "amount": 29.5,
        "currency": "EUR",
        "properties": {"plan": "pro"},
    }


@pytest.mark.parametrize(
    "data",
    [
        {"revenue": 29.5},
        {"revenue": 0, "currency": "EUR"},
        {"revenue": "much", "currency": "EUR"},
        {"revenue": "Infinity", "currency": "EUR"},
    ],
)
def test_data_that_umami_does_not_count_as_revenue(data: dict[str, Any]) -> None:
    """They remain the properties of a custom event."""
    assert _event(name="order", data=data)["properties"] == data


def test_performance_is_vitals_and_time_on_the_page() -> None:
    """Vitals that were not measured are missing or null."""
    vitals, leave = _events("performance", url="/", lcp=200, cls=0, inp=None, duration=1500)

    assert (vitals["type"], vitals["vitals"]) == ("web_vitals", {"lcp": 200, "cls": 0})
    assert (leave["type"], leave["duration"]) == ("pageleave", 1500)
    assert vitals["url"] == leave["url"] == "/"


@pytest.mark.parametrize(
    ("measured", "types"),
    [({"duration": 9}, ["pageleave"]), ({"lcp": 9}, ["web_vitals"]), ({}, ["web_vitals"])],
)
def test_performance_has_what_was_measured(measured: dict[str, int], types: list[str]) -> None:
    """A page that was left at once has no vitals; the API may be called without a duration."""
    assert [event["type"] for event in _events("performance", **measured)] == types


@pytest.mark.parametrize(
    ("payload", "user_id"),
    [
        ({"id": "ada", "data": {"id": "7"}}, "ada"),
        ({"data": {"id": "7"}}, "7"),
        ({"data": "text"}, None),
        ({}, None),
    ],
)
def test_identify_names_the_user(payload: dict[str, Any], user_id: str | None) -> None:
    """@umami/node can pass the id as a property only."""
    event = _event("identify", **payload)

    assert (event["type"], event.get("user_id")) == ("identify", user_id)
    assert event.get("properties") == payload.get("data")


def test_what_has_no_field_is_kept() -> None:
    """Also values of a wrong form."""
    event = _event(
        "other", screen="large", browser="chrome", tag="b", data={"tag": "a"}, timestamp="soon"
    )

    assert event[UNMAPPED] == {"type": "other", "screen": "large", "browser": "chrome", "tag": "b"}
    assert event["timestamp"] == "soon"


@pytest.mark.parametrize("message", [{}, {"payload": None}, {"payload": ["a"]}, "text", None, 5])
def test_a_message_without_a_payload_belongs_to_no_site(message: Any) -> None:
    """The API rejects it alone."""
    [event] = translate_batch(post([message]))

    assert event["site_id"] is None


def test_a_batch_is_an_array_of_messages() -> None:
    """A single message is accepted, too."""
    message = {"type": "event", "payload": {"website": "shop"}}

    assert len(translate_batch(post([message, message]))) == 2
    assert len(translate_batch(post(message))) == 1
    assert translate_batch(post([])) == []


def test_the_reply_names_the_session_and_never_disables_the_client() -> None:
    """The script stops at `disabled`, also in the body of an error."""
    accepted = json.loads(respond(_REQUEST, ACCEPTED).body)
    rejected = respond(_REQUEST, REJECTED)

    assert accepted == {"cache": "s1", "sessionId": "s1", "visitId": "s1"}
    assert (rejected.status, "disabled" in json.loads(rejected.body)) == (403, False)


def test_the_reply_to_a_batch_counts_rejections() -> None:
    """One does not harm its neighbours."""
    results = [*ACCEPTED.results, {**REJECTED.results[0], "index": 1}]
    reply = respond_to_batch(_REQUEST, Outcome(207, results, ACCEPTED.events))

    error = {"error": "Not registered", "code": "unknown_site"}
    assert (reply.status, json.loads(reply.body)) == (
        200,
        {
            "size": 2,
            "processed": 1,
            "errors": 1,
            "details": [{"index": 1, "response": error}],
            "cache": "s1",
        },
    )


def test_the_reply_to_an_empty_batch() -> None:
    """There is no session."""
    assert json.loads(respond_to_batch(_REQUEST, NOTHING).body) == {
        "size": 0,
        "processed": 0,
        "errors": 0,
        "details": [],
        "cache": None,
    }


def test_the_reply_to_a_batch_that_cannot_be_read() -> None:
    """It is an error, as nothing was processed."""
    reply = respond_to_batch(_REQUEST, Outcome(400, REJECTED.results))

    assert (reply.status, json.loads(reply.body)["code"]) == (400, "unknown_site")
