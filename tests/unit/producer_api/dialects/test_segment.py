"""Messages of Segment, RudderStack and Jitsu that the recordings do not show."""

import base64
import json
from typing import Any

import pytest

from producer_api.events.dialects import jitsu, rudderstack, segment
from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event
from producer_api.events.request import Request

URL = "https://shop.example/pricing"


def translated(message: Any, path: str = "/v1/batch", **headers: str) -> list[Event]:
    """Return the events of a request."""
    return segment.translate(_request(message, path, **headers))


def one(message: Any, path: str = "/v1/track", **headers: str) -> Event:
    """Return the event of a request, without absent fields."""
    (event,) = translated(message, path, **headers)
    return _without_none(event)


def track(name: Any, **properties: Any) -> Event:
    """Return the event of a call of `track`."""
    return one({"type": "track", "event": name, "properties": properties})


def _request(message: Any, path: str, **headers: str) -> Request:
    names = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("POST", path, "", names, json.dumps(message).encode())


def _without_none(event: Event) -> Event:
    return {name: value for name, value in event.items() if value is not None}


def basic(text: str) -> str:
    """Return a header with a user name and a password."""
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("message", "headers", "site"),
    [
        ({"writeKey": "body"}, {}, "body"),
        ({"writeKey": "body"}, {"authorization": basic("user:")}, "user"),
        ({"writeKey": "body"}, {"authorization": basic("user")}, "user"),
        ({"writeKey": "body"}, {"authorization": "Basic ***"}, "body"),
        ({"writeKey": "body"}, {"authorization": "Bearer token"}, "body"),
        ({"writeKey": "kid:***"}, {"x_write_key": "kid:secret"}, "kid"),
        ({"writeKey": "***"}, {"x_write_key": "kid:hrk_abc"}, "hrk_abc"),
        ({}, {"authorization": basic("kid:hrk_abc:")}, "hrk_abc"),
        ({}, {"authorization": basic("hrk_abc:")}, "hrk_abc"),
        ({"writeKey": 7}, {}, "7"),
        ({}, {}, ""),
    ],
)
def test_the_site_is_the_write_key(
    message: dict[str, Any], headers: dict[str, str], site: str
) -> None:
    """Wherever the client puts it, with a secret or without."""
    event = one({"type": "track", "event": "x", **message}, **headers)

    assert event["site_id"] == site
    assert "writeKey" not in json.dumps(event)


def test_a_time_of_the_site_precedes_the_clock_of_the_client() -> None:
    """Which RudderStack's client for Node.js sends with it."""
    times = {"timestamp": "2026-03-01T10:00:00Z", "originalTimestamp": "2026-12-01T10:00:00Z"}

    event = one({"type": "track", "event": "x", **times})

    assert event["timestamp"] == times["timestamp"]
    assert event[UNMAPPED] == {"originalTimestamp": times["originalTimestamp"]}


def test_an_image_may_have_the_members_of_a_message() -> None:
    """One by one, or with some in base64."""
    data = base64.b64encode(b'{"event":"Opened"}').decode()
    request = Request("GET", "/api/px/track", f"writekey=kid:x&userId=u1&data={data}")

    (event,) = segment.translate_pixel(request)

    assert (event["site_id"], event["user_id"], event["event_name"]) == ("kid", "u1", "Opened")


def test_the_query_may_have_the_write_key() -> None:
    """Beacons have no headers."""
    request = Request(
        "POST", "/beacon/v1/batch", "writeKey=shop", {}, b'{"batch":[{"type":"page"}]}'
    )

    (event,) = rudderstack.translate(request)

    assert event["site_id"] == "shop"


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/v1/p", "pageview"),
        ("/v1/page", "pageview"),
        ("/v1/screen", "pageview"),
        ("/v1/t", "custom_event"),
        ("/v1/i", "identify"),
        ("/v1/alias", "identify"),
        ("/v1/g", "custom_event"),
        ("/api/s/s2s/identify", "identify"),
    ],
)
def test_the_path_names_the_type_of_a_message_without_one(path: str, type_: str) -> None:
    """The HTTP API does not require the member `type`."""
    assert one({"userId": "u1"}, path)["type"] == type_


def test_the_member_type_wins_over_the_path() -> None:
    """In any case of letters."""
    assert one({"type": "Page"}, "/v1/t")["type"] == "pageview"


def test_messages_of_a_batch_inherit_its_members() -> None:
    """Their own ones win."""
    (first, second) = translated(
        {
            "sentAt": "2026-01-31T12:00:00Z",
            "context": {"locale": "de", "ip": "192.0.2.1"},
            "batch": [
                {"type": "page"},
                {
                    "type": "page",
                    "sentAt": "2026-01-31T13:00:00Z",
                    "context": {"locale": "fr"},
                },
            ],
        }
    )

    assert (first["sent_at"], first["language"]) == ("2026-01-31T12:00:00Z", "de")
    assert (second["sent_at"], second["language"]) == ("2026-01-31T13:00:00Z", "fr")
    assert second["ip"] == "192.0.2.1"


@pytest.mark.parametrize("item", [None, 1, "text", [], {}, {"type": None}, {"type": ""}])
def test_an_item_without_a_type_is_one_rejected_event(item: Any) -> None:
    """Its neighbours are accepted."""
    (before, event, after) = translated({"batch": [{"type": "page"}, item, {"type": "page"}]})

    assert event.get("type") is None
    assert before["type"] == after["type"] == "pageview"


def test_an_unknown_type_is_a_custom_event() -> None:
    """With all its members."""
    event = one({"type": "merge", "mergeProperties": [{"type": "email"}]}, "/v1/merge")

    assert (event["type"], event["event_name"]) == ("custom_event", "merge")
    assert event[UNMAPPED] == {"mergeProperties": [{"type": "email"}]}


@pytest.mark.parametrize(
    ("name", "properties", "type_", "amount"),
    [
        ("Order Completed", {"revenue": 29}, "payment", 29),
        ("Order Completed", {"revenue": 29, "total": 35}, "payment", 29),
        ("Order Completed", {"total": 35}, "payment", 35),
        ("Order Completed", {"revenue": "29,90", "total": 35}, "payment", 35),
        ("order_completed", {"value": "35.5"}, "payment", "35.5"),
        ("Completed Order", {"revenue": 0}, "payment", 0),
        ("Order Completed", {}, "payment", None),
        ("Upgraded", {"revenue": "9.90"}, "payment", "9.90"),
        ("Upgraded", {"revenue": 0}, "custom_event", None),
        ("Upgraded", {"revenue": -1}, "custom_event", None),
        ("Upgraded", {"revenue": True}, "custom_event", None),
        ("Upgraded", {"revenue": "much"}, "custom_event", None),
        ("Upgraded", {"revenue": None}, "custom_event", None),
        ("Upgraded", {"revenue": [1]}, "custom_event", None),
        ("Upgraded", {"value": 5}, "custom_event", None),
        ("Checkout Started", {"revenue": 29}, "custom_event", None),
        ("Order Refunded", {"revenue": 29}, "custom_event", None),
        ("Order Updated", {"revenue": 29}, "custom_event", None),
        ("Order Cancelled", {"revenue": 29}, "custom_event", None),
    ],
)
def test_revenue_is_a_payment(
    name: str, properties: dict[str, Any], type_: str, amount: Any
) -> None:
    """Of an order only when it is completed. The properties stay."""
    event = track(name, currency="EUR", **properties)

    assert (event["type"], event.get("amount")) == (type_, amount)
    assert event["event_name"] == name
    assert event["properties"] == {"currency": "EUR", **properties}
    assert event.get("currency") == ("EUR" if type_ == "payment" else None)


def test_properties_of_a_page_override_the_page_of_the_context() -> None:
    """And what they repeat of it is stored once."""
    context = {"page": {"url": URL, "path": "/pricing", "title": "Prices", "referrer": ""}}
    said = {"path": "/virtual", "title": "Prices", "color": "red"}

    event = one({"type": "page", "name": "Pricing", "properties": said, "context": context})

    assert (event["url"], event["path"], event["title"]) == (URL, "/virtual", "Prices")
    assert event["properties"] == {"color": "red", "name": "Pricing"}
    assert "referrer" not in event
    assert UNMAPPED not in event


def test_the_query_of_a_page_is_stored_with_its_url_alone() -> None:
    """There, e-mail addresses are masked. Another `search` is a property of the site."""
    query = "?email=ada%40example.com"
    page = {"url": URL + query, "search": query}

    assert one({"type": "page", "properties": page}).get("properties") is None
    assert one({"type": "page", "properties": {**page, "search": "shoes"}})["properties"] == {
        "search": "shoes"
    }


def test_a_property_named_url_is_not_the_page_of_an_event() -> None:
    """The context has it."""
    context = {"page": {"url": URL}}

    event = one({"event": "x", "properties": {"url": "https://other.example/"}, "context": context})

    assert event["url"] == URL
    assert event["properties"] == {"url": "https://other.example/"}


def test_a_screen_has_its_name_as_title_and_path() -> None:
    """It has no URL."""
    event = one({"type": "screen", "name": "Home", "category": "Tabs"})

    assert (event["type"], event["title"], event["path"]) == ("pageview", "Home", "Home")
    assert event["properties"] == {"name": "Home", "category": "Tabs"}


def test_identify_has_the_traits_of_the_message_or_of_the_context() -> None:
    """RudderStack's are in the context."""
    event = one({"type": "identify", "traits": {"a": 1}, "context": {"traits": {"a": 2, "b": 3}}})

    assert event["properties"] == {"a": 1, "b": 3}
    assert UNMAPPED not in event


def test_a_group_and_an_alias_keep_their_ids() -> None:
    """As properties, because there are no fields for them."""
    group = one({"type": "group", "groupId": "g1", "traits": {"name": "Acme"}})
    alias = one({"type": "alias", "userId": "u1", "previousId": "ann"})

    assert (group["event_name"], group["properties"]) == (
        "group",
        {"name": "Acme", "groupId": "g1"},
    )
    assert (alias["user_id"], alias["properties"]) == ("u1", {"previousId": "ann"})


def test_the_campaign_is_used_if_the_url_has_none() -> None:
    """Apps report the campaign of their installation."""
    context = {"campaign": {"source": "news", "name": "spring", "id": "7"}}

    event = one({"type": "track", "event": "x", "context": context})

    assert event["utm"] == {"source": "news", "campaign": "spring", "id": "7"}


def test_a_campaign_in_the_url_is_read_there() -> None:
    """Jitsu's copy of it is still encoded."""
    page = {"url": f"{URL}?utm_term=running+shoes"}
    context = {"campaign": {"term": "running+shoes"}, "page": page}

    assert "utm" not in one({"type": "track", "event": "x", "context": context})


@pytest.mark.parametrize("value", [None, "text", 7, True, [1], {"nested": {"deep": [None]}}])
@pytest.mark.parametrize(
    "member",
    ["properties", "traits", "context", "messageId", "timestamp", "sentAt", "event", "userId"],
)
@pytest.mark.parametrize("kind", ["page", "screen", "track", "identify", "group", "alias"])
def test_members_of_any_kind_give_an_event(kind: str, member: str, value: Any) -> None:
    """Never an exception."""
    assert one({"type": kind, member: value})["type"]


@pytest.mark.parametrize("member", ["page", "screen", "campaign", "traits", "userAgent", "locale"])
@pytest.mark.parametrize("value", [None, "text", 7, [1], {"url": 7, "referrer": {}, "host": 1}])
def test_members_of_the_context_of_any_kind_give_an_event(member: str, value: Any) -> None:
    """Never an exception."""
    assert one({"type": "page", "context": {member: value}})["type"] == "pageview"


@pytest.mark.parametrize("message_id", ["", None, 0])
def test_an_empty_id_is_none(message_id: Any) -> None:
    """Otherwise all events with it would count as one."""
    assert "event_id" not in one({"type": "page", "messageId": message_id})


def test_rudderstack_measures_time_on_a_page() -> None:
    """In milliseconds."""
    message = {"type": "track", "event": "Page Unloaded", "properties": {"timeOnPage": 1252}}

    (event,) = rudderstack.translate(_request(message, "/v1/track"))

    assert _without_none(event) == {"type": "pageleave", "duration": 1252, "site_id": ""}


def test_rudderstack_calls_an_absent_referrer_direct() -> None:
    """A page has none."""
    message = {"type": "page", "context": {"page": {"referrer": "$direct", "url": URL}}}

    (event,) = rudderstack.translate(_request(message, "/v1/page"))

    assert event["referrer"] is None


def test_sessions_that_began_in_the_same_millisecond_are_two() -> None:
    """RudderStack's session id is that time: it counts with the visitor."""

    def session_id(visitor_id: str) -> str:
        context = {"sessionId": 1_795_943_228_798}
        message = {"type": "page", "anonymousId": visitor_id, "context": context}
        (event,) = rudderstack.translate(_request(message, "/v1/page"))
        return str(event["session_id"])

    assert session_id("ada") == session_id("ada") != session_id("grace")


@pytest.mark.parametrize(
    ("message", "headers", "is_rudderstack"),
    [
        ({"type": "page", "originalTimestamp": "2026-01-31T12:00:00Z"}, {}, True),
        ({"type": "page"}, {"anonymousid": "YW5u"}, True),
        ({"batch": [{"channel": "server"}]}, {}, True),
        ({"batch": [{"properties": {"channel": "tv"}}], "writeKey": "shop"}, {}, False),
        ({"type": "page"}, {"authorization": basic("shop:")}, False),
    ],
)
def test_rudderstack_is_recognized_by_what_only_its_clients_send(
    message: Any, headers: dict[str, str], *, is_rudderstack: bool
) -> None:
    """Other requests to the same paths are Segment's."""
    assert rudderstack.is_rudderstack(_request(message, "/v1/page", **headers)) == is_rudderstack


def test_jitsu_adds_the_viewport_to_the_properties_of_a_page() -> None:
    """They are not the site's."""
    properties = {"width": 1366, "height": 768, "hash": "#a", "color": "red"}

    (event,) = jitsu.translate(_request({"properties": properties}, "/api/s/page"))

    assert event["properties"] == {"color": "red"}
    assert event[UNMAPPED] == {"width": 1366, "height": 768, "hash": "#a"}


def test_jitsu_replaces_the_url_of_the_page_by_a_property_of_this_name() -> None:
    """Host and path are still those of the page."""
    page = {"url": "https://other.example/", "host": "shop.example", "path": "/pricing"}

    event = one({"event": "x", "context": {"page": page}}, "/api/s/track")

    assert (event.get("url"), event["hostname"], event["path"]) == (
        None,
        "shop.example",
        "/pricing",
    )


def test_jitsu_lets_the_site_say_the_url_of_a_page_view() -> None:
    """It is the page then, also if another host serves it."""
    properties = {"url": "https://shop.example/own", "path": "/own", "title": "Own"}
    page = {**properties, "host": "app.shop.example"}
    message = {"properties": properties, "context": {"page": page}}

    (event,) = jitsu.translate(_request(message, "/api/s/page"))

    assert {name: event.get(name) for name in (*properties, "hostname", "properties")} == {
        **properties,
        "hostname": None,
        "properties": None,
    }


def test_a_blocker_that_rudderstack_detects_is_no_page_view() -> None:
    """The client reports it as a page of its own, next to the real one."""
    properties = {"category": "RudderJS-Initiated", "path": "/ad-blocked", "url": URL}
    message = {"type": "page", "name": "ad-block page request", "properties": properties}

    (event,) = rudderstack.translate(_request(message, "/v1/page"))

    assert (event["type"], event["event_name"]) == ("custom_event", "ad-block page request")
    assert (event["url"], event["path"]) == (URL, None)
    assert event["properties"] == {"category": "RudderJS-Initiated"}
