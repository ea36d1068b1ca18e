import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event, Outcome
from producer_api.events.dialects.posthog import (
    is_posthog_batch,
    respond,
    respond_config,
    respond_config_script,
    respond_definitions,
    respond_flags,
    respond_recording,
    translate,
)
from producer_api.events.request import Request
from tests.unit.producer_api.dialects.requests import ACCEPTED, NOTHING, REJECTED, post

_URL = "https://shop.example/a?b=c"


def _events(sent: Any) -> list[Event]:
    events = translate(post({"api_key": "shop", "batch": [sent]}))
    assert {event.pop("site_id") for event in events} == {"shop"}
    return [{name: value for name, value in event.items() if value} for event in events]


def _event(name: str, /, **properties: Any) -> Event:
    [event] = _events({"event": name, "properties": properties})
    return event


def test_a_page_view_of_a_browser() -> None:
    """What has no field is unmapped; the campaign is that of the session, not of an earlier one."""
    [event] = _events(
        {
            "event": "$pageview",
            "uuid": "0190d6e0-0000-7000-8000-000000000001",
            "timestamp": "2026-11-29T09:00:01.715Z",
            "properties": {
                "$current_url": _URL,
                "$host": "shop.example",
                "$pathname": "/a",
                "title": "A",
                "$session_entry_referrer": "https://news.example/",
                "$referrer": "$direct",
                "$raw_user_agent": "Mozilla/5.0",
                "$browser_language": "en-GB",
                "$screen_width": 1920,
                "$viewport_width": 800,
                "$session_id": "s1",
                "$device_id": "d1",
                "distinct_id": "d1",
                "$is_identified": False,
                "$insert_id": "i1",
                "token": "shop",
                "$lib": "web",
                "$session_entry_utm_source": "newsletter",
                "$session_entry_gclid": "g1",
                "utm_source": "of last week",
                "fbclid": None,
                "$time": 1.5,
                "plan": "pro",
            },
            "$set_once": {"$initial_pathname": "/", "$initial_gclid": None},
        }
    )

    unmapped = event.pop(UNMAPPED)
    assert unmapped["utm_source"] == "of last week"
    assert unmapped["$set_once"] == {"$initial_pathname": "/"}
    assert "fbclid" not in unmapped
    assert "$device_id" not in unmapped
    assert event == {
        "type": "pageview",
        "event_id": "0190d6e0-0000-7000-8000-000000000001",
        "timestamp": "2026-11-29T09:00:01.715Z",
        "url": _URL,
        "title": "A",
        "referrer": "https://news.example/",
        "user_agent": "Mozilla/5.0",
        "language": "en-GB",
        "screen": {"width": 1920, "viewport_width": 800},
        "session_id": "s1",
        "visitor_id": "d1",
        "utm": {"source": "newsletter"},
        "ad_click_ids": {"gclid": "g1"},
        "properties": {"plan": "pro"},
    }


def test_a_page_without_a_url_has_its_parts() -> None:
    """Servers may send these."""
    event = _event("$pageview", **{"$host": "shop.example", "$pathname": "/a"})

    assert (event["hostname"], event["path"]) == ("shop.example", "/a")


def test_a_screen_of_an_app() -> None:
    """It has a name instead of a path."""
    event = _event("$screen", **{"$screen_name": "Cart", "$locale": "de"})

    assert (event["type"], event["title"], event["path"]) == ("pageview", "Cart", "Cart")
    assert event["language"] == "de"


def test_a_direct_visit_has_no_referrer() -> None:
    """The client writes a word instead."""
    assert "referrer" not in _event("$pageview", **{"$referrer": "$direct"})


def test_the_title_of_other_events_is_a_property() -> None:
    """It may be that of a book."""
    event = _event("read", title="Emma")

    assert event["properties"] == {"title": "Emma"}
    assert "title" not in event


@pytest.mark.parametrize(
    ("properties", "visitor_id", "user_id"),
    [
        ({"distinct_id": "u1"}, "u1", "u1"),
        ({"distinct_id": "a1", "$process_person_profile": False}, "a1", None),
        ({"distinct_id": "d1", "$device_id": "d1"}, "d1", None),
        ({"distinct_id": "u1", "$device_id": "d1"}, "d1", "u1"),
        ({"distinct_id": "b1", "$device_id": "d1", "$is_identified": False}, "d1", None),
        ({"distinct_id": "u1", "$device_id": "d1", "$user_id": "u2"}, "d1", "u2"),
        ({"distinct_id": "$posthog_cookieless", "$cookieless_mode": True}, None, None),
        ({}, None, None),
    ],
)
def test_ids(properties: dict[str, Any], visitor_id: str | None, user_id: str | None) -> None:
    """An id from a server is that of a user, unless the event has no person."""
    event = _event("a", **properties)

    assert (event.get("visitor_id"), event.get("user_id")) == (visitor_id, user_id)


def test_a_user_is_identified() -> None:
    """Traits are properties; what the client knows of the first visit is not."""
    [event] = _events(
        {
            "event": "$identify",
            "distinct_id": "u1",
            "properties": {
                "$device_id": "d1",
                "$anon_distinct_id": "d1",
                "$is_identified": False,
                "$lib": "web",
            },
            "$set": {"plan": "pro"},
            "$set_once": {"$initial_referrer": "x", "utm_source": "y", "born": 1815},
        }
    )

    assert event == {
        "type": "identify",
        "visitor_id": "d1",
        "user_id": "u1",
        "properties": {"plan": "pro", "born": 1815},
        UNMAPPED: {
            "$is_identified": False,
            "$lib": "web",
            "$set_once": {"$initial_referrer": "x", "utm_source": "y"},
        },
    }


def test_an_alias_is_the_user() -> None:
    """The other id is the one that was used before."""
    event = _event("$create_alias", distinct_id="a1", alias="u1")

    assert (event["type"], event["visitor_id"], event["user_id"]) == ("identify", "a1", "u1")


def test_the_leave_of_a_page() -> None:
    """Seconds and a share become milliseconds and percent."""
    event = _event(
        "$pageleave",
        **{
            "$current_url": "https://shop.example/b",
            "$prev_pageview_pathname": "/a",
            "$prev_pageview_duration": 4.229,
            "$prev_pageview_max_scroll_percentage": 0.256,
        },
    )

    assert event["type"] == "pageleave"
    assert event["path"] == "/a"
    assert event["duration"] == pytest.approx(4229)
    assert event["properties"] == {"scroll": 26}


def test_a_page_view_in_an_application_is_also_a_leave() -> None:
    """Of the page before, with an id of its own."""
    sent = {
        "event": "$pageview",
        "uuid": "0190d6e0-0000-7000-8000-000000000001",
        "properties": {
            "$current_url": "https://shop.example/b",
            "$session_id": "s1",
            "$prev_pageview_pathname": "/a",
            "$prev_pageview_duration": 1.5,
        },
    }

    (leave, view) = _events(sent)

    assert leave == {
        "type": "pageleave",
        "event_id": "0190d6e0-0000-7000-8000-000000000001:leave",
        "session_id": "s1",
        "path": "/a",
        "duration": 1500,
    }
    assert (view["type"], view["url"]) == ("pageview", "https://shop.example/b")
    assert "duration" not in view
    del sent["uuid"]
    assert "event_id" not in _events(sent)[0]


def test_vitals() -> None:
    """The value may be in the measurement only. Repetitions of the page are left out."""
    event = _event(
        "$web_vitals",
        **{
            "$web_vitals_LCP_value": 2912.5,
            "$web_vitals_LCP_event": {"value": 2912.5, "rating": "poor", "$current_url": _URL},
            "$web_vitals_CLS_event": {"value": 0},
            "$web_vitals_INP_event": None,
        },
    )

    assert event["type"] == "web_vitals"
    assert event["vitals"] == {"lcp": 2912.5, "cls": 0}
    assert event[UNMAPPED]["$web_vitals_LCP_event"] == {"rating": "poor"}


def test_an_exception() -> None:
    """The innermost frame comes first, and causes follow."""
    frames = [
        {"filename": "main.py", "lineno": 1, "function": "main"},
        {"abs_path": "/pay.py", "lineno": 7, "colno": 3},
    ]
    event = _event(
        "$exception",
        **{
            "$exception_list": [
                {"type": "ValueError", "value": "no", "stacktrace": {"frames": frames}},
                {"type": "OSError", "value": "why", "stacktrace": {"frames": frames[:1]}},
                {"type": "KeyError", "value": "k"},
            ]
        },
    )

    assert (event["type"], event["error_name"], event["error_message"]) == (
        "error",
        "ValueError",
        "no",
    )
    assert event["error_stack"].splitlines() == [
        "ValueError: no",
        "    at ? (/pay.py:7:3)",
        "    at main (main.py:1)",
        "OSError: why",
        "    at main (main.py:1)",
    ]
    assert len(event[UNMAPPED]["$exception_list"]) == 3


def test_an_exception_of_an_old_client() -> None:
    """Its members were texts."""
    event = _event("$exception", **{"$exception_type": "E", "$exception_message": "no"})

    assert (event["error_name"], event["error_message"]) == ("E", "no")
    assert UNMAPPED not in event


@pytest.mark.parametrize(
    ("properties", "kind", "name"),
    [
        ({"$event_type": "click", "$el_text": "Buy"}, "button_click", "Buy"),
        ({"$event_type": "click"}, "button_click", "$autocapture"),
        (
            {"$event_type": "click", "$external_click_url": "https://b.example/"},
            "external_link",
            "$autocapture",
        ),
        ({"$event_type": "submit"}, "form_submit", "$autocapture"),
        ({"$event_type": "change"}, "custom_event", "$autocapture"),
    ],
)
def test_captured_interactions(properties: dict[str, Any], kind: str, name: str) -> None:
    """Their properties say what was clicked."""
    event = _event("$autocapture", **properties, **{"$elements_chain": "a"})

    assert (event["type"], event["event_name"]) == (kind, name)
    assert event["properties"].pop("url", None) == properties.get("$external_click_url")
    assert event["properties"] == {**properties, "$elements_chain": "a"}


def test_a_copy() -> None:
    """Of a text on the page."""
    event = _event("$copy_autocapture", **{"$copy_type": "copy", "$selected_content": "x"})

    assert event["type"] == "copy"
    assert event["properties"] == {"$copy_type": "copy", "$selected_content": "x"}


def test_other_events_of_the_client_are_custom_events() -> None:
    """Of that name."""
    event = _event("$feature_flag_called", **{"$feature_flag": "new", "$lib": "web"})

    assert (event["type"], event["event_name"]) == ("custom_event", "$feature_flag_called")
    assert event["properties"] == {"$feature_flag": "new"}


def test_revenue_is_a_payment() -> None:
    """With the name and all properties of the event."""
    event = _event("purchase", revenue=29, currency="EUR", plan="pro")

    assert event == {
        "type": "payment",
        "event_name": "purchase",
        "amount": 29,
        "currency": "EUR",
        "properties": {"revenue": 29, "currency": "EUR", "plan": "pro"},
    }


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

    assert event["timestamp"] == "1970-01-01T00:00:00+00:00"
    assert event["sent_at"] == "1970-01-01T00:00:02.500000+00:00"


@pytest.mark.parametrize(
    "batch",
    [None, [], 1, "a", [None], [[]], ["a"], [{"event": None, "properties": "a"}], {"event": 1}],
)
def test_wrong_types_are_events_all_the_same(batch: Any) -> None:
    """No value is an error."""
    translate(post({"api_key": "shop", "batch": batch}))
    translate(post({"api_key": batch, "batch": [{"event": batch, "timestamp": batch}]}))


def test_batches_are_told_from_those_of_amplitude() -> None:
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
    assert respond_recording(post({}), NOTHING).status == 200
