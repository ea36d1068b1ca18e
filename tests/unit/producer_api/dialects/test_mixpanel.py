import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.mixpanel import (
    explain,
    is_mixpanel,
    respond,
    respond_recording,
    translate_events,
    translate_groups,
    translate_profiles,
)
from producer_api.events.dialects.model import PIXEL, Event
from producer_api.events.request import Request
from tests.unit.producer_api.dialects.requests import ACCEPTED, NOTHING, REJECTED, post

_URL = "https://shop.example/a?b=c"


def _present(event: Event) -> Event:
    assert event.pop("site_id") == "shop"
    return {name: value for name, value in event.items() if value}


def _event(name: str, /, **properties: Any) -> Event:
    sent = {"event": name, "properties": {"token": "shop", **properties}}
    [event] = translate_events(post([sent]))
    return _present(event)


def _profile(**change: Any) -> Event:
    members = {f"${name}": value for name, value in change.items()}
    [event] = translate_profiles(post({"$token": "shop", **members}))
    return _present(event)


def test_a_page_view_of_a_browser() -> None:
    """What the client says about itself is unmapped."""
    event = _event(
        "$mp_web_page_view",
        **{
            "$insert_id": "i1",
            "time": 1795943030.02,
            "$current_url": _URL,
            "$referrer": "https://news.example/",
            "current_page_title": "A",
            "current_domain": "shop.example",
            "current_url_search": "?b=c",
            "$screen_width": 1920,
            "$screen_height": 1080,
            "distinct_id": "$device:d1",
            "$device_id": "d1",
            "mp_lib": "web",
            "utm_source": "of last week",
            "plan": "pro",
            "nothing": None,
        },
    )

    assert event == {
        "type": "pageview",
        "event_id": "i1",
        "timestamp": "2026-11-29T09:03:50.020000+00:00",
        "url": _URL,
        "referrer": "https://news.example/",
        "title": "A",
        "screen": {"width": 1920, "height": 1080},
        "visitor_id": "d1",
        "properties": {"plan": "pro", "nothing": None},
        UNMAPPED: {"mp_lib": "web", "utm_source": "of last week", "current_url_search": "?b=c"},
    }


def test_a_page_view_of_a_server() -> None:
    """Its parts of the URL have other names."""
    event = _event("mp_page_view", current_domain="shop.example", current_url_path="/a", ip="::1")

    assert (event["hostname"], event["path"], event["ip"]) == ("shop.example", "/a", "::1")
    assert _event("$mp_web_page_view", current_url=_URL)["url"] == _URL
    assert "current_url" in _event("a", current_url=_URL)["properties"]


def test_parts_of_the_url_are_no_properties() -> None:
    """E-mail addresses are masked in the URL only."""
    parts = {"current_url_search": "?email=ada%40shop.example", "current_url_protocol": "https:"}

    event = _event("$mp_web_page_view", **parts, **{"$current_url": _URL})

    assert not parts.keys() & event.get("properties", {}).keys()


@pytest.mark.parametrize(
    ("properties", "visitor_id", "user_id"),
    [
        ({"distinct_id": "u1"}, "u1", "u1"),
        ({"distinct_id": "$device:d1"}, "d1", None),
        ({"distinct_id": "d1", "$device_id": "d1"}, "d1", None),
        ({"distinct_id": "u1", "$device_id": "d1"}, "d1", "u1"),
        ({"distinct_id": "$device:d1", "$device_id": "d1", "$user_id": "u1"}, "d1", "u1"),
        ({}, None, None),
    ],
)
def test_ids(properties: dict[str, Any], visitor_id: str | None, user_id: str | None) -> None:
    """An id without a device belongs to a user."""
    event = _event("a", **properties)

    assert (event.get("visitor_id"), event.get("user_id")) == (visitor_id, user_id)


@pytest.mark.parametrize(
    ("time", "timestamp"),
    [
        (1795943030, "2026-11-29T09:03:50+00:00"),
        (1795943030000, "2026-11-29T09:03:50+00:00"),
        ("1795943030", "2026-11-29T09:03:50+00:00"),
        ("yesterday", "yesterday"),
        (10**400, 10**400),
    ],
)
def test_times(time: Any, timestamp: Any) -> None:
    """Seconds, or milliseconds, also as texts; others are left to be unmapped."""
    assert _event("a", time=time)["timestamp"] == timestamp


@pytest.mark.parametrize(
    ("properties", "kind", "name"),
    [
        ({"$el_text": "Buy", "$el_id": "buy"}, "button_click", "Buy"),
        ({"$el_id": "buy"}, "button_click", "buy"),
        ({}, "button_click", "$mp_click"),
        ({"$el_attr__href": "/b"}, "button_click", "$mp_click"),
        ({"$el_attr__href": "https://shop.example/b"}, "button_click", "$mp_click"),
        ({"$el_attr__href": "https://[b"}, "button_click", "$mp_click"),
        ({"$el_attr__href": "https://b.example/"}, "external_link", "$mp_click"),
        ({"$elements": [{"$attr-href": "https://b.example/"}, 1]}, "external_link", "$mp_click"),
        ({"$elements": 1}, "button_click", "$mp_click"),
    ],
)
def test_clicks(properties: dict[str, Any], kind: str, name: str) -> None:
    """Links to another host are external; a link may be around what was clicked."""
    event = _event("$mp_click", **properties, **{"$current_url": _URL})

    assert (event["type"], event["event_name"]) == (kind, name)
    if kind == "external_link":
        assert event["properties"]["url"] == "https://b.example/"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("$mp_submit", "form_submit"),
        ("$mp_page_leave", "pageleave"),
        ("$mp_scroll", "custom_event"),
        ("$identify", "identify"),
        ("Signup", "custom_event"),
        ("Checkout Started", "custom_event"),
    ],
)
def test_types(name: str, kind: str) -> None:
    """Only events of the site can be payments."""
    revenue = {} if name == "Signup" else {"revenue": 29}

    event = _event(name, **revenue, **{"$scroll_percentage": 42})

    assert event["type"] == kind
    assert event["properties"]["$scroll_percentage"] == 42


@pytest.mark.parametrize(
    ("properties", "amount"),
    [
        ({"revenue": 29}, 29),
        ({"revenue": "29.90"}, "29.90"),
        ({"amount": 29, "currency": "EUR"}, 29),
        ({"amount": 29}, None),
        ({"revenue": 0}, None),
        ({"revenue": True}, None),
        ({"revenue": "none"}, None),
        ({"revenue": [29]}, None),
    ],
)
def test_revenue(properties: dict[str, Any], amount: Any) -> None:
    """An amount is one only with a currency."""
    event = _event("Purchase", **properties)

    assert event.get("amount") == amount
    assert event["type"] == ("payment" if amount else "custom_event")


def test_an_alias_is_the_user() -> None:
    """The other id is the one that was used before."""
    event = _event("$create_alias", distinct_id="a1", alias="u1")

    assert (event["type"], event["visitor_id"], event["user_id"]) == ("identify", "a1", "u1")


def test_the_earlier_id_of_a_device_is_not_stored_twice() -> None:
    """It is the visitor."""
    ids = {"distinct_id": "u1", "$device_id": "d1", "$anon_distinct_id": "$device:d1"}

    assert UNMAPPED not in _event("$identify", **ids)


def test_a_profile_identifies_a_user() -> None:
    """Traits are properties, other changes keep their names."""
    event = _profile(
        distinct_id="u1",
        device_id="d1",
        set={"$email": "a@b.example", "$os": "Linux"},
        set_once={"born": 1815, "initial_utm_source": "x"},
        add={"visits": 1},
        time=1795943030000,
    )

    event.pop("event_id")
    assert event == {
        "type": "identify",
        "visitor_id": "d1",
        "user_id": "u1",
        "timestamp": "2026-11-29T09:03:50+00:00",
        "properties": {"born": 1815, "$email": "a@b.example", "$add": {"visits": 1}},
        UNMAPPED: {"initial_utm_source": "x", "$os": "Linux"},
    }


def test_a_charge_is_a_payment() -> None:
    """It has no currency."""
    charge = {"$transactions": {"$amount": 29, "$time": "2026-11-29T09:00:00", "plan": "pro"}}

    event = _profile(distinct_id="u1", append=charge)

    assert (event["type"], event["amount"]) == ("payment", 29)
    assert event["timestamp"] == "2026-11-29T09:00:00"
    assert event["properties"] == charge


def test_a_change_that_is_sent_again_counts_once() -> None:
    """If it has the time of the call, as those of the client for Python have."""
    charge = {"distinct_id": "u1", "append": {"$transactions": {"$amount": 29}}}

    (first, again, other) = (_profile(**charge, time=time) for time in (1.25, 1.25, 1.5))

    assert first["event_id"] == again["event_id"] != other["event_id"]
    assert "event_id" not in _profile(**charge)


@pytest.mark.parametrize(
    ("name", "properties", "ids"),
    [
        ("$identify", {"$anon_id": "a1", "$identified_id": "u1"}, ("a1", "u1")),
        ("$merge", {"$distinct_ids": ["a1", "u1"]}, (None, None)),
    ],
)
def test_unions_of_ids_by_servers(
    name: str, properties: dict[str, Any], ids: tuple[str | None, str | None]
) -> None:
    """Of two ids in a list, nobody says which is the user's."""
    event = _event(name, **properties)

    assert event["type"] == "identify"
    assert (event.get("visitor_id"), event.get("user_id")) == ids
    assert event.get("properties", properties) == properties


def test_a_group_change_has_its_time() -> None:
    """And no property of it."""
    [event] = translate_groups(post({"$token": "shop", "$time": 1795943030, "$set": {"a": 1}}))

    assert event["timestamp"] == "2026-11-29T09:03:50+00:00"
    assert event["properties"] == {"$set": {"a": 1}}


def test_a_group() -> None:
    """A custom event, as it is not about a visitor."""
    [event] = translate_groups(
        post({"$token": "shop", "$group_key": "company", "$group_id": "acme", "$set": {"a": 1}})
    )

    assert _present(event) == {
        "type": "custom_event",
        "event_name": "$groups",
        "properties": {"$group_key": "company", "$group_id": "acme", "$set": {"a": 1}},
    }


_BATCH = [{"event": "a", "properties": {"token": "shop"}}, {"event": "b", "properties": {}}]
_PLAIN = json.dumps(_BATCH).encode()
_BASE64 = base64.b64encode(_PLAIN).decode()
_LINES = b"\n".join(json.dumps(event).encode() for event in _BATCH)


@pytest.mark.parametrize(
    "request_",
    [
        post(_PLAIN),
        post(gzip.compress(_PLAIN)),
        post(b"data=" + quote(_PLAIN).encode()),
        post(b"data=" + quote(_BASE64).encode() + b"&verbose=1"),
        post(b"data=" + _BASE64.encode()),
        post(_LINES + b"\n\n", content_type="application/x-ndjson"),
        Request("GET", "/track", f"ip=0&verbose=0&data={quote(_BASE64)}"),
    ],
)
def test_encodings(request_: Request) -> None:
    """As clients of browsers and servers send them."""
    assert [event["event_name"] for event in translate_events(request_)] == ["a", "b"]


def test_a_service_account_names_its_project() -> None:
    """It is the site of events without a token. The query has the time of sending."""
    request = Request("POST", "/import", "project_id=42&_=1500", body=_PLAIN)

    events = translate_events(request)

    assert [event["site_id"] for event in events] == ["shop", "42"]
    assert {event["sent_at"] for event in events} == {"1970-01-01T00:00:01.500000+00:00"}


@pytest.mark.parametrize("value", [None, 1, "a", [], {}, [None], {"a": [1]}])
def test_wrong_types_are_events_all_the_same(value: Any) -> None:
    """No value is an error."""
    event = {"event": value, "properties": value, "$set": value, "$append": value, "$time": value}
    ids = {"distinct_id": value, "$device_id": value, "time": value, "$elements": value}
    batch = [event, value, {"event": "$mp_click", "properties": ids}]
    for translate in (translate_events, translate_profiles, translate_groups):
        assert len(translate(post(batch))) == 3


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (post({"event": "a"}), True),
        (post(_PLAIN), True),
        (post(b"data=x"), True),
        (Request("GET", "/track", "data=x"), True),
        (post({"type": "track", "payload": {}}), False),
        (post(b"{"), False),
    ],
)
def test_requests_are_told_from_those_of_openpanel(request_: Request, expected: bool) -> None:
    """They share a path."""
    assert is_mixpanel(request_) == expected


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("", b"", b"1"),
        ("verbose=0", b"", b"1"),
        ("verbose=1", b"", b'{"status":1,"error":null}'),
        ("", b"data=x&verbose=1&ip=0", b'{"status":1,"error":null}'),
        ("strict=1", b"", b'{"code":200,"status":"OK","num_records_imported":1}'),
        ("img=1", b"", PIXEL.body),
    ],
)
def test_responses(query: str, body: bytes, expected: bytes) -> None:
    """Clients ask for the form that they read."""
    reply = respond(Request("POST", "/track", query, body=body), ACCEPTED)

    assert (reply.status, reply.body) == (200, expected)


def test_errors_have_a_status_that_the_client_for_python_reads() -> None:
    """In errors after which it should send again; others for other clients."""
    reply = respond(post({}), REJECTED)

    assert reply.status == 403
    assert json.loads(reply.body) == {"status": 0, "error": "Not registered"}
    assert explain(503, "not_ready", "Wait") == {"status": 0, "error": "Wait"}


def test_the_client_for_python_gets_no_error_that_is_permanent() -> None:
    """It would raise an exception, and send the events again for ever."""
    reply = respond(post(b"data=x&verbose=1&ip=0"), REJECTED)

    assert reply.status == 200
    assert json.loads(reply.body) == {"status": 1, "error": "Not registered"}


def test_recordings_are_accepted() -> None:
    """They are not stored."""
    assert respond_recording(post({}), NOTHING).status == 200


def test_the_seconds_of_a_timed_event_are_a_property() -> None:
    """The site calls `time_event` to measure them."""
    event = _event("timed", **{"$duration": 1.5, "mp_lib": "web"})

    assert event["properties"] == {"$duration": 1.5}


@pytest.mark.parametrize(
    ("callback", "body"),
    [
        ("mixpanel._jsc['1234']", b"mixpanel._jsc['1234'](1);"),
        ("mixpanel.one._jsc[1234]", b"mixpanel.one._jsc[1234](1);"),
        ("alert(1)//", b"1"),
    ],
)
def test_a_script_calls_the_function_of_the_request(callback: str, body: bytes) -> None:
    """In browsers without CORS. Nothing else gets into the script."""
    reply = respond(Request("GET", "/track", f"data=x&callback={quote(callback)}"), ACCEPTED)

    assert reply.body == body
