import json
from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.openpanel import (
    has_client_id,
    is_openpanel,
    respond,
    respond_earlier,
    translate,
    translate_earlier,
)
from tests.unit.producer_api.dialects.requests import ACCEPTED, NOTHING, REJECTED, post

_REQUEST = post({})
_ID = {"openpanel_client_id": "shop"}


def _event(kind: str, **payload: Any) -> Event:
    [event] = translate(post({"type": kind, "payload": payload}, **_ID))
    assert event.pop("site_id") == "shop"
    return {name: value for name, value in event.items() if value is not None}


def _track(name: str, **properties: Any) -> Event:
    return _event("track", name=name, properties=properties)


def test_a_screen_view_is_a_page_view() -> None:
    """Reserved properties have fields."""
    event = _track(
        "screen_view",
        __path="https://shop.example/a",
        __title="A",
        __referrer="",
        __timestamp="2026-01-31T12:00:00.000Z",
        __ip="203.0.113.7",
        color="red",
    )

    assert event == {
        "type": "pageview",
        "url": "https://shop.example/a",
        "title": "A",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "ip": "203.0.113.7",
        "properties": {"color": "red"},
    }


def test_the_path_of_a_screen_view_may_have_its_other_name() -> None:
    """OpenPanel reads both; of other events, it is a property like any other."""
    event = _track("screen_view", path="/a", title="A", referrer="https://news.example/")

    assert (event["url"], event["title"], event["referrer"]) == ("/a", "A", "https://news.example/")
    assert "url" not in _track("upload", path="/a")


def test_a_back_end_reports_the_client_of_its_visitor() -> None:
    """In properties, or in a header as OpenPanel's API documents."""
    [event] = translate(
        post({"type": "track", "payload": {"name": "a"}}, **_ID, x_client_ip="203.0.113.7")
    )

    assert event["ip"] == "203.0.113.7"
    assert _track("a", __userAgent="Mozilla/5.0")["user_agent"] == "Mozilla/5.0"


def test_an_outgoing_link() -> None:
    """Its target is a property."""
    assert _track("link_out", href="https://other.example/", text="Other") == {
        "type": "external_link",
        "properties": {"href": "https://other.example/", "text": "Other"},
    }


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [(2999, "EUR", 29.99), (129050, "JPY", 1290.5), (0, "EUR", 0), ("1005", None, 10.05)],
)
def test_revenue_is_in_hundredths(minor: Any, currency: str | None, amount: float) -> None:
    """Of every currency: OpenPanel itself divides by 100."""
    event = _track("revenue", __revenue=minor, currency=currency, plan="pro")

    assert (event["type"], event["event_name"]) == ("payment", "revenue")
    assert (event["amount"], event.get("currency")) == (amount, currency)
    assert event["properties"] == {"plan": "pro"}


@pytest.mark.parametrize("minor", ["many", None, [1], True, "1e999999", "Infinity", "9" * 400])
def test_revenue_that_is_no_number_is_no_payment(minor: Any) -> None:
    """It is kept as what has no field."""
    event = _track("revenue", __revenue=minor, currency="EUR")

    assert (event["type"], event["properties"]) == ("custom_event", {"currency": "EUR"})
    assert event.get(UNMAPPED) == (None if minor is None else {"__revenue": minor})


def test_a_back_end_adds_to_the_session_of_the_page() -> None:
    """`getDeviceId()` of the browser returned the id of our reply."""
    event = _track("revenue", __revenue=100, __deviceId="s1")

    assert event["session_id"] == json.loads(respond(_REQUEST, ACCEPTED).body)["deviceId"]
    assert "session_id" not in _track("revenue", __revenue=100, __deviceId="")


def test_a_profile_is_an_identified_user() -> None:
    """Its members are in the payload, its other properties one level below."""
    event = _event(
        "identify",
        profileId="ada",
        firstName="Ada",
        email="ada@shop.example",
        properties={"__referrer": "https://a.example/", "email": "ada@shop.example", "plan": 1},
    )

    assert event == {
        "type": "identify",
        "user_id": "ada",
        "referrer": "https://a.example/",
        "properties": {"firstName": "Ada", "email": "ada@shop.example", "plan": 1},
    }


def test_a_member_that_a_property_hides_is_kept() -> None:
    """A profile may have two addresses."""
    event = _event("identify", profileId="ada", email="a@b", properties={"email": "c@d"})

    assert (event["properties"], event[UNMAPPED]) == ({"email": "c@d"}, {"email": "a@b"})


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("increment", {"property": "visits", "value": 1}),
        ("decrement", {"property": "visits", "value": 1}),
        ("alias", {"alias": "countess"}),
        ("assign_group", {"groupIds": ["a", "b"]}),
    ],
)
def test_changes_of_a_profile_identify_its_user(kind: str, payload: dict[str, Any]) -> None:
    """The name is that of the message."""
    assert _event(kind, profileId="ada", **payload) == {
        "type": "identify",
        "event_name": kind,
        "user_id": "ada",
        "properties": {kind: payload},
    }


def test_a_group_is_a_custom_event() -> None:
    """It belongs to no user."""
    event = _event("group", id="g1", type="company", name="Acme", properties={"seats": 3})

    assert event == {
        "type": "custom_event",
        "event_name": "group",
        "properties": {"group": {"id": "g1", "type": "company", "name": "Acme"}, "seats": 3},
    }


def test_members_of_an_event_with_an_identity() -> None:
    """`groups` are properties; the SDK of React Native adds what it knows of the app."""
    event = _event(
        "track",
        name="open",
        groups=["g1"],
        properties={"__identify": {"profileId": 7}, "__version": "1.2"},
    )

    assert (event["user_id"], event["properties"]) == (7, {"groups": ["g1"]})
    assert event[UNMAPPED] == {"__identify": {"profileId": 7}, "__version": "1.2"}


def test_a_part_of_a_session_replay_is_no_event() -> None:
    """The SDK must not send it again."""
    assert translate(post({"type": "replay", "payload": {"chunk_index": 0}}, **_ID)) == []
    assert respond(_REQUEST, NOTHING).status == 200


@pytest.mark.parametrize(
    ("body", "headers", "site_id"),
    [
        ({}, {"openpanel_client_id": "shop"}, "shop"),
        ({"clientId": "shop", "clientSecret": "sec_1"}, {}, "shop"),
        ({}, {"openpanel_client_id": "shop", "openpanel_client_secret": "hrk_1"}, "hrk_1"),
        ({"clientId": "shop", "clientSecret": "hrk_1"}, {}, "hrk_1"),
        ({}, {}, None),
    ],
)
def test_the_site_is_the_client_id(
    body: dict[str, str], headers: dict[str, str], site_id: str | None
) -> None:
    """The secret may be a site key; it is never stored."""
    [event] = translate(post({"type": "track", "payload": {"name": "a"}, **body}, **headers))

    assert event["site_id"] == site_id
    assert UNMAPPED not in event


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": ["track"], "payload": 5},
        {"type": "track", "payload": {"name": {}, "properties": "text", "profileId": None}},
        {"type": "identify", "payload": {"properties": [1]}},
        {"type": None, "payload": {"properties": {"__identify": 5, "__path": 7}}},
    ],
)
def test_members_of_a_wrong_kind_do_not_reject_an_event(message: dict[str, Any]) -> None:
    """What cannot be read is kept."""
    [event] = translate(post(message, **_ID))

    assert event["site_id"] == "shop"


def test_before_the_first_event_there_are_no_ids() -> None:
    """Earlier SDKs ask for them."""
    assert json.loads(respond(_REQUEST, NOTHING).body) == {"deviceId": "", "sessionId": ""}


def test_a_permanent_rejection_ends_the_attempts() -> None:
    """The SDKs send again after each error but 401."""
    reply = respond(_REQUEST, REJECTED)

    assert (reply.status, json.loads(reply.body)["code"]) == (401, "unknown_site")


@pytest.mark.parametrize(
    ("body", "headers", "is_ours"),
    [
        (b"", {"openpanel_client_id": "shop"}, True),
        (b'{"type":"track","payload":{},"clientId":"shop"}', {}, True),
        (b"data=eyJldmVudCI6ICJhIn0%3D", {}, False),
        (b'[{"event":"a","properties":{}}]', {}, False),
        (b'{"event":"a"}', {}, False),
        (b"", {}, False),
    ],
)
def test_mixpanel_has_the_same_path(body: bytes, headers: dict[str, str], is_ours: bool) -> None:
    """It sends forms, or events without a payload."""
    assert is_openpanel(post(body, **headers)) is is_ours


def test_sdks_before_1_0_have_a_path_for_each_type() -> None:
    """Time and device are members of the message; a page sends the device of the last response."""
    message = {
        "name": "signup",
        "properties": {"plan": "pro"},
        "timestamp": "2026-01-31T12:00:00.000Z",
        "deviceId": "s1",
        "profileId": "u1",
    }
    [event] = translate_earlier(post(message, "/event", **_ID))
    [change] = translate_earlier(
        post({"profileId": "u1", "property": "visits", "value": 1}, "/profile/increment", **_ID)
    )
    [odd] = translate_earlier(post({"name": "a", "properties": 1}, "/event", **_ID))

    assert event == {
        "type": "custom_event",
        "event_name": "signup",
        "site_id": "shop",
        "user_id": "u1",
        "session_id": "s1",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "properties": {"plan": "pro"},
    }
    assert (change["type"], change["event_name"]) == ("identify", "increment")
    assert change["properties"] == {"increment": {"property": "visits", "value": 1}}
    assert odd["properties"] == {"value": 1}
    assert has_client_id(post({}, "/event", **_ID))
    assert not has_client_id(post({}, "/event"))
    assert respond_earlier(_REQUEST, ACCEPTED).body == b"s1"
    assert respond_earlier(_REQUEST, REJECTED).status == 401
