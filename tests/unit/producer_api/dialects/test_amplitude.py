import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from producer_api.events.dialects.amplitude import (
    explain,
    is_amplitude_batch,
    respond,
    translate,
    translate_form,
    translate_groups,
    translate_identifications,
)
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event, Outcome, Translate
from tests.unit.producer_api.dialects.requests import ACCEPTED, NOTHING, REJECTED, post

_URL = "https://shop.example/a?b=c"


def _event(name: str, properties: dict[str, Any] | None = None, /, **members: Any) -> Event:
    sent = {"event_type": name, "event_properties": properties, **members}
    [event] = translate(post({"api_key": "shop", "events": [sent]}))
    assert event.pop("site_id") == "shop"
    return {name: value for name, value in event.items() if value}


def test_a_page_view_of_a_browser() -> None:
    """What the client says about itself is unmapped."""
    event = _event(
        "[Amplitude] Page Viewed",
        {
            "[Amplitude] Page Location": _URL,
            "[Amplitude] Page URL": "https://shop.example/a",
            "[Amplitude] Page Path": "/a",
            "[Amplitude] Page Title": "A",
            "[Amplitude] Page Counter": 1,
            "[Amplitude] Previous Page Location": "https://b.example/",
            "referrer": "https://news.example/",
            "utm_source": "x",
            "plan": "pro",
            "nothing": None,
        },
        platform="Web",
        time=1795943065758,
        insert_id="i1",
        user_agent="Mozilla/5.0",
        language="en-GB",
        ip="$remote",
        device_id="d1",
        event_id=2,
    )

    assert event == {
        "type": "pageview",
        "event_id": "i1",
        "timestamp": "2026-11-29T09:04:25.758000+00:00",
        "url": _URL,
        "title": "A",
        "referrer": "https://news.example/",
        "user_agent": "Mozilla/5.0",
        "language": "en-GB",
        "visitor_id": "d1",
        "properties": {"plan": "pro", "nothing": None},
        UNMAPPED: {
            "[Amplitude] Page Counter": 1,
            "[Amplitude] Previous Page Location": "https://b.example/",
            "utm_source": "x",
            "platform": "Web",
            "event_id": 2,
        },
    }


def test_a_page_view_of_a_server() -> None:
    """It may have only parts of the URL. Its referrer is a property of the site."""
    event = _event(
        "[Amplitude] Page Viewed",
        {"[Amplitude] Page Domain": "shop.example", "[Amplitude] Page Path": "/a", "referrer": "x"},
        ip="203.0.113.7",
    )

    assert (event["hostname"], event["path"], event["ip"]) == ("shop.example", "/a", "203.0.113.7")
    assert event["properties"] == {"referrer": "x"}


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("View", {"[Amplitude] Page Location": _URL, "[Amplitude] Page Counter": 1}),
        ("Page View", {"page_location": _URL, "page_path": "/a", "page_title": "A"}),
    ],
)
def test_a_page_view_may_have_a_name_of_the_site(name: str, properties: dict[str, Any]) -> None:
    """An option of the client for browsers; its first major version has other names, too."""
    event = _event(name, properties, platform="Web")

    assert (event["type"], event["event_name"], event["url"]) == ("pageview", name, _URL)
    assert "properties" not in event


def test_a_page_view_of_the_site_is_an_event() -> None:
    """Only those that the client captures have its properties."""
    event = _event("Page View", {"page": "/a"}, platform="Web")

    assert (event["type"], event["properties"]) == ("custom_event", {"page": "/a"})


def test_the_page_before_is_the_referrer() -> None:
    """Of views in an application."""
    properties = {"[Amplitude] Previous Page Location": _URL}

    assert _event("[Amplitude] Page Viewed", properties, platform="Web")["referrer"] == _URL


def test_sessions_are_of_one_device() -> None:
    """Their id is a time; two devices may begin one at the same."""
    ids = {
        _event("a", device_id=device_id, session_id=session_id)["session_id"]
        for device_id in ("d1", "d2")
        for session_id in (1795943065725, 1795943065726)
    }

    assert len(ids) == 4
    assert "session_id" not in _event("a", device_id="d1", session_id=-1)


def test_a_user_without_a_device_is_a_visitor() -> None:
    """Servers send no device."""
    event = _event("a", user_id="u1")

    assert (event["visitor_id"], event["user_id"]) == ("u1", "u1")


def test_a_user_is_identified() -> None:
    """Traits are properties; what the browser knows of the first visit is not."""
    event = _event(
        "$identify",
        user_id="u1",
        platform="Web",
        user_properties={
            "$set": {"plan": "pro", "utm_source": "x"},
            "$setOnce": {"born": 1815, "initial_gclid": "EMPTY"},
            "$unset": {"gclid": "-"},
            "$add": {"visits": 1},
            "age": 25,
        },
    )

    assert event["type"] == "identify"
    assert event["properties"] == {"plan": "pro", "born": 1815, "$add": {"visits": 1}, "age": 25}
    assert event[UNMAPPED]["user_properties"] == {"utm_source": "x", "initial_gclid": "EMPTY"}


def test_a_server_removes_a_trait() -> None:
    """The change keeps its name."""
    event = _event("$identify", user_id="u1", user_properties={"$unset": {"plan": "-"}})

    assert event["properties"] == {"$unset": {"plan": "-"}}


def test_a_group() -> None:
    """A custom event, whose properties are those of the group."""
    change = {"groups": {"company": "acme"}, "group_properties": {"$set": {"seats": 3}}}

    event = _event("$groupidentify", user_id="u1", **change)

    assert (event["type"], event["event_name"]) == ("custom_event", "$groupidentify")
    assert event["properties"] == change


def test_vitals() -> None:
    """Each is a measurement."""
    event = _event(
        "[Amplitude] Web Vitals",
        {"[Amplitude] LCP": {"value": 508, "rating": "good"}, "[Amplitude] CLS": {"value": 0}},
    )

    assert event["type"] == "web_vitals"
    assert event["vitals"] == {"lcp": 508, "cls": 0}
    assert "event_name" not in event


@pytest.mark.parametrize(
    ("properties", "kind", "name"),
    [
        ({"Element Text": "Buy", "Element ID": "buy"}, "button_click", "Buy"),
        ({"Element ID": "buy"}, "button_click", "buy"),
        ({"Element Href": "https://shop.example/b"}, "button_click", "[Amplitude] Element Clicked"),
        ({"Element Href": "https://b.example/"}, "external_link", "[Amplitude] Element Clicked"),
    ],
)
def test_clicks(properties: dict[str, Any], kind: str, name: str) -> None:
    """Links to another host are external."""
    sent = {f"[Amplitude] {name}": value for name, value in properties.items()}

    event = _event("[Amplitude] Element Clicked", {**sent, "[Amplitude] Page Location": _URL})

    assert (event["type"], event["event_name"]) == (kind, name)
    assert sent.items() <= event["properties"].items()
    if kind == "external_link":
        assert event["properties"]["url"] == "https://b.example/"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("[Amplitude] Form Submitted", "form_submit"),
        ("[Amplitude] File Downloaded", "custom_event"),
        ("session_start", "custom_event"),
        ("Signup", "custom_event"),
    ],
)
def test_types(name: str, kind: str) -> None:
    """With the client's name."""
    event = _event(name)

    assert (event["type"], event["event_name"]) == (kind, name)


@pytest.mark.parametrize(
    ("properties", "members", "amount"),
    [
        ({"$price": 0.1, "$quantity": 3}, {}, "0.3"),
        ({"$price": 29}, {}, "29"),
        ({"$price": 29, "$quantity": 2, "$revenue": 50}, {}, 50),
        ({}, {"price": 9.99, "quantity": 2}, "19.98"),
        ({}, {"revenue": 12.5}, 12.5),
        ({"$price": "cheap"}, {}, "cheap"),
        ({"$price": "1E+999999", "$quantity": "1E+999999"}, {}, "1E+999999"),
        ({"$price": 29, "$quantity": None}, {}, 29),
    ],
)
def test_payments(properties: dict[str, Any], members: dict[str, Any], amount: Any) -> None:
    """A revenue, or a price times a quantity, without binary rounding."""
    event = _event("revenue_amount", {**properties, "$currency": "EUR"}, **members)

    assert (event["type"], event["amount"], event["currency"]) == ("payment", amount, "EUR")
    assert event["event_name"] == "revenue_amount"


@pytest.mark.parametrize(
    "members", [{"revenue": 0}, {"revenue": "0.0"}, {"price": 0, "quantity": 2}]
)
def test_a_revenue_of_zero_is_no_payment(members: dict[str, Any]) -> None:
    """Some programs send it with every event."""
    assert _event("a", **members)["type"] == "custom_event"
    assert _event("refund", revenue=-5)["type"] == "payment"


def test_the_time_of_upload_corrects_the_clock() -> None:
    """The client for Python does not send it."""
    body = {"api_key": "shop", "events": [{}], "client_upload_time": "2026-11-29T09:00:00Z"}

    [event] = translate(post(gzip.compress(json.dumps(body).encode())))

    assert event["sent_at"] == "2026-11-29T09:00:00Z"


@pytest.mark.parametrize("value", [None, 1, "a", True, [], {}, [None], {"a": [1]}, 10**30])
def test_wrong_types_are_events_all_the_same(value: Any) -> None:
    """No value is an error."""
    names = ("event_type", "event_properties", "user_properties", "time", "device_id", "user_id")
    event = dict.fromkeys((*names, "session_id", "price", "quantity", "ip"), value)
    vitals = {
        "event_type": "[Amplitude] Web Vitals",
        "event_properties": {"[Amplitude] LCP": value},
    }
    identify = {"event_type": "$identify", "user_properties": {"$set": value, "$unset": value}}
    body = {"api_key": value, "events": [event, value, vitals, identify]}

    assert len(translate(post(json.dumps(body).encode()))) == 4


def _of_form(translate: Translate, **parameters: str) -> list[Event]:
    events = translate(post(urlencode({"api_key": "shop", **parameters}).encode()))
    assert {event.pop("site_id") for event in events} == {"shop"}
    return [{name: value for name, value in event.items() if value} for event in events]


def test_the_first_http_api() -> None:
    """A form with an event, or a list of them."""
    one = {"event_type": "a", "user_id": "u1", "time": 1795943065758, "insert_id": "i1"}

    [event] = _of_form(translate_form, event=json.dumps(one))
    two = _of_form(translate_form, event=json.dumps([one, one]))

    assert event == two[1]
    assert event == {
        "type": "custom_event",
        "event_name": "a",
        "visitor_id": "u1",
        "user_id": "u1",
        "event_id": "i1",
        "timestamp": "2026-11-29T09:04:25.758000+00:00",
    }


def test_the_first_sdks() -> None:
    """They shorten names, and the time of the upload corrects the clock."""
    sent = [{"event_type": "a", "device_id": "d1", "timestamp": 1000, "uuid": "i1"}]
    parameters = {"client": "shop", "e": json.dumps(sent), "v": "2", "upload_time": "2000"}

    [event] = translate_form(post(urlencode(parameters).encode()))

    assert event["site_id"] == "shop"
    assert event["event_id"] == "i1"
    assert event["timestamp"] == "1970-01-01T00:00:01+00:00"
    assert event["sent_at"] == "1970-01-01T00:00:02+00:00"


def test_the_identify_api() -> None:
    """Members of the user that are no operations are traits."""
    traits = {"plan": "pro", "$set": {"age": 25}}
    sent = {"user_id": "u1", "device_id": "d1", "user_properties": traits}

    [event] = _of_form(translate_identifications, identification=json.dumps(sent))

    assert (event["type"], event["user_id"], event["visitor_id"]) == ("identify", "u1", "d1")
    assert event["properties"] == {"plan": "pro", "age": 25}


def test_the_group_identify_api() -> None:
    """It is not about a visitor."""
    sent = [{"group_type": "company", "group_value": "acme", "group_properties": {"seats": 3}}]

    [event] = _of_form(translate_groups, identification=json.dumps(sent))

    assert event == {
        "type": "custom_event",
        "event_name": "$groupidentify",
        "properties": {"groups": {"company": "acme"}, "group_properties": {"seats": 3}},
    }


@pytest.mark.parametrize("translate", [translate_form, translate_identifications, translate_groups])
@pytest.mark.parametrize("body", [b"", b"{}", b"event=[1]", b'{"identification":[[]]}'])
def test_forms_without_events(translate: Translate, body: bytes) -> None:
    """They have none, or those that are rejected."""
    assert len(translate(post(body))) <= 1


def test_batches_are_told_from_those_of_posthog() -> None:
    """They share a path."""
    assert is_amplitude_batch(post({"api_key": "shop", "events": []}))
    assert not is_amplitude_batch(post({"api_key": "shop", "batch": []}))
    assert not is_amplitude_batch(post(b"\x1f\x8b"))


def test_the_response_has_a_code() -> None:
    """The clients do not look at the status."""
    reply = respond(post({"events": [1]}), ACCEPTED)

    assert json.loads(reply.body) == {"code": 200, "events_ingested": 1, "payload_size_bytes": 14}
    assert json.loads(respond(post({}), NOTHING).body)["events_ingested"] == 0


def test_the_response_to_rejected_events() -> None:
    """The clients drop all events if a member is missing, and send none again."""
    reply = respond(post({}), REJECTED)

    assert reply.status == 403
    error = {"code": 403, "error": "Not registered", "missing_field": "api_key"}
    assert json.loads(reply.body) == error


def test_the_response_to_a_batch_that_is_rejected_in_part() -> None:
    """An error would make the clients send again what was accepted."""
    results = [*ACCEPTED.results, *REJECTED.results]

    reply = respond(post({}), Outcome(207, results))

    assert reply.status == 200
    assert json.loads(reply.body)["events_ingested"] == 1


def test_errors_after_which_the_clients_send_again() -> None:
    """They wait longer if the events are named."""
    assert explain(503, "not_ready", "Wait") == {"code": 503, "error": "Wait"}
    limited = explain(429, "rate_limited", "Wait")
    assert (limited["code"], len(limited["throttled_events"])) == (429, 2000)
