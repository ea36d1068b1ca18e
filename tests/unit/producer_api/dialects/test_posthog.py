"""Events of PostHog's clients by kind."""

from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.posthog import (
    translate,
)
from tests.unit.producer_api.dialects.requests import post

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
        ({"distinct_id": "after-reset", "$device_id": "d1", "$lib": "web"}, "d1", None),
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


@pytest.mark.parametrize("library", ["posthog-node", "posthog-php", "posthog-java"])
def test_an_alias_of_most_servers_is_the_earlier_id(library: str) -> None:
    """That of Python is the user, as in browsers. The client for Java has its name outside."""
    alias = {"distinct_id": "u1", "alias": "a1"}

    event = _event("$create_alias", **alias, **{"$lib": library})

    assert (event["visitor_id"], event["user_id"]) == ("a1", "u1")
    [event] = _events({"event": "$create_alias", "$lib": library, "properties": alias})
    assert (event["visitor_id"], event["user_id"]) == ("a1", "u1")
    event = _event("$create_alias", distinct_id="a1", alias="u1", **{"$lib": "posthog-python"})
    assert (event["visitor_id"], event["user_id"]) == ("a1", "u1")


def test_traits_that_are_set_once_identify() -> None:
    """`set_once` of servers is an event."""
    [event] = _events({"event": "$set_once", "distinct_id": "u1", "$set_once": {"first": "x"}})

    assert (event["type"], event["user_id"]) == ("identify", "u1")
    assert event["properties"] == {"first": "x"}


def test_traits_in_the_event_of_a_server_are_properties() -> None:
    """They are not about the client."""
    event = _event("signup", **{"$set": {"plan": "pro"}, "$set_once": {"a": 1}, "$lib": "x"})

    assert event["properties"] == {"$set": {"plan": "pro"}, "$set_once": {"a": 1}}


@pytest.mark.parametrize(
    "properties", [{"$groups": {"company": "acme"}}, {"$ai_model": "m", "$ai_trace_id": "t"}]
)
def test_reserved_names_that_a_site_uses_are_properties(properties: dict[str, Any]) -> None:
    """Such as groups, and what clients of language models measure."""
    assert _event("$ai_generation", **properties)["properties"] == properties


def test_a_group_is_no_visitor() -> None:
    """Unless the event names one."""
    group = {"$group_type": "company", "$group_key": "acme", "$group_set": {"seats": 3}}

    event = _event("$groupidentify", distinct_id="$company_acme", **group)
    of_user = _event("$groupidentify", distinct_id="u1", **group)

    assert "visitor_id" not in event
    assert "user_id" not in event
    assert event["properties"] == group
    assert of_user["user_id"] == "u1"
    random_id = "0adab5c0-0265-4879-8d5c-0789839eb503"
    of_python = {"distinct_id": random_id, "$lib": "posthog-python", **group}
    assert "visitor_id" not in _event("$groupidentify", **of_python)


def test_the_first_clients_of_servers() -> None:
    """Addresses were in a context, and ids had another name."""
    [event] = _events({"event": "a", "messageId": "m1", "context": {"ip": "203.0.113.7", "x": 1}})

    assert (event["event_id"], event["ip"]) == ("m1", "203.0.113.7")
    assert event[UNMAPPED] == {"context": {"x": 1}}


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


@pytest.mark.parametrize("scroll", [1e308, "far"])
def test_a_scroll_that_is_no_share_is_ignored(scroll: Any) -> None:
    """The duration counts."""
    members = {"$prev_pageview_duration": 1, "$prev_pageview_max_scroll_percentage": scroll}

    event = _event("$pageleave", **members)

    assert event["duration"] == 1000
    assert "scroll" not in event.get("properties", {})


def test_a_page_view_in_an_application_is_also_a_leave() -> None:
    """Of the page before, with another id."""
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
