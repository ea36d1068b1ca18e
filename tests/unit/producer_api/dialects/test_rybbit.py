import json
from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event
from producer_api.events.dialects.rybbit import identify, respond, translate
from tests.unit.producer_api.dialects.requests import ACCEPTED, REJECTED, post

_REQUEST = post({})


def _event(headers: dict[str, str] | None = None, /, **message: Any) -> Event:
    [event] = translate(post({"site_id": "1", **message}, **(headers or {})))
    assert event.pop("site_id") == "1"
    return {name: value for name, value in event.items() if value is not None}


def test_a_page_view() -> None:
    """The parts of the URL are separate."""
    event = _event(
        type="pageview",
        event_name="",
        hostname="shop.example",
        pathname="/a",
        querystring="?utm_source=x",
        screenWidth=1920,
        screenHeight=1080,
        language="en-GB",
        page_title="A",
        referrer="",
        user_id="ada",
        user_agent="App/1",
        ip_address="203.0.113.7",
    )

    assert event == {
        "type": "pageview",
        "url": "https://shop.example/a?utm_source=x",
        "hostname": "shop.example",
        "screen": {"width": 1920, "height": 1080},
        "language": "en-GB",
        "title": "A",
        "user_id": "ada",
        "user_agent": "App/1",
        "ip": "203.0.113.7",
    }


@pytest.mark.parametrize(
    ("message", "url"),
    [
        ({"hostname": "a.example", "pathname": "/b#c", "querystring": "?d"}, "a.example/b?d#c"),
        ({"hostname": "a.example", "pathname": "b", "querystring": "d=e"}, "a.example/b?d=e"),
        ({"hostname": "a.example"}, "a.example/"),
    ],
)
def test_the_url_of_a_page(message: dict[str, str], url: str) -> None:
    """The path may have the fragment, which comes after the query."""
    assert _event(**message)["url"] == f"https://{url}"


def test_a_route_in_the_fragment_is_part_of_the_path() -> None:
    """An anchor is not: it is a place on the page."""
    route = _event(hostname="a.example", pathname="/b#/plans", querystring="?c")
    anchor = _event(hostname="a.example", pathname="/b#plans")

    assert (route["path"], route["url"]) == ("/b#/plans", "https://a.example/b?c#/plans")
    assert "path" not in anchor


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("http://localhost:3000", "http://localhost:3000/a"),
        ("https://other.example", "https://localhost/a"),
        ("null", "https://localhost/a"),
    ],
)
def test_scheme_and_port_are_those_of_the_origin(origin: str, url: str) -> None:
    """Unless the page says that it has another host."""
    assert _event({"origin": origin}, hostname="localhost", pathname="/a")["url"] == url


def test_a_back_end_may_send_a_path_alone() -> None:
    """Then the host is not known."""
    assert _event(pathname="/a")["url"] == "/a"
    assert "url" not in _event()


def test_an_event_without_a_type_is_a_page_view() -> None:
    """As its API documents."""
    assert _event()["type"] == "pageview"


@pytest.mark.parametrize(
    ("sent", "stored", "name"),
    [
        ("custom_event", "custom_event", None),
        ("outbound", "external_link", None),
        ("button_click", "button_click", None),
        ("copy", "copy", None),
        ("form_submit", "form_submit", None),
        ("input_change", "custom_event", "input_change"),
        ("ad_impression", "custom_event", "ad_impression"),
    ],
)
def test_types(sent: str, stored: str, name: str | None) -> None:
    """Those without one of ours are custom events of their name."""
    event = _event(type=sent, properties='{"a":1}')

    assert (event["type"], event.get("event_name")) == (stored, name)
    assert event["properties"] == {"a": 1}


@pytest.mark.parametrize("properties", ["{", '"a"', "", None, [1], {"a": 1}])
def test_properties_that_are_no_json_object_are_kept(properties: Any) -> None:
    """The framework makes a member of them."""
    event = _event(type="custom_event", event_name="a", properties=properties)

    expected = "a" if properties == '"a"' else properties
    assert event.get("properties") == expected


def test_vitals_may_be_null() -> None:
    """They were not measured."""
    event = _event(type="performance", event_name="web-vitals", lcp=None, cls=0, ttfb=9.5)

    assert (event["type"], event["vitals"]) == ("web_vitals", {"lcp": None, "cls": 0, "ttfb": 9.5})
    assert "event_name" not in event


def test_an_error() -> None:
    """Its members are in the properties."""
    properties = {"error_name": "TypeError", "message": "x is null", "stack": "at a", "line": 3}
    event = _event(type="error", event_name="TypeError", properties=json.dumps(properties))

    assert event == {
        "type": "error",
        "error_name": "TypeError",
        "error_message": "x is null",
        "error_stack": "at a",
        "properties": {"line": 3},
    }


def test_an_error_without_properties_has_the_name_of_its_event() -> None:
    """Properties may be missing or no object."""
    assert _event(type="error", event_name="Oops", properties="5")["error_name"] == "Oops"


def test_identify() -> None:
    """Traits are properties of the visitor."""
    message = {"site_id": 1, "user_id": "ada", "traits": {"plan": "pro"}, "is_new_identify": True}
    [event] = identify(post(message))

    assert event == {
        "type": "identify",
        "site_id": 1,
        "user_id": "ada",
        "properties": {"plan": "pro"},
        UNMAPPED: {"is_new_identify": True},
    }


@pytest.mark.parametrize(("key", "site_id"), [("rb_1", "1"), ("hrk_1", "hrk_1"), (5, "1")])
def test_a_key_is_never_stored(key: Any, site_id: str) -> None:
    """That of headrace says which site it is."""
    [event] = translate(post({"site_id": "1", "api_key": key}))

    assert event["site_id"] == site_id
    assert UNMAPPED not in event


def test_members_of_a_wrong_kind_are_kept() -> None:
    """They do not reject the event."""
    event = _event(type=["a"], pathname=5, querystring={"a": 1}, hostname=7, other=[])

    assert (event["type"], event["hostname"]) == ("custom_event", 7)
    assert event[UNMAPPED] == {"pathname": 5, "querystring": {"a": 1}, "other": []}


def test_replies() -> None:
    """The clients read the status at most."""
    assert json.loads(respond(_REQUEST, ACCEPTED).body) == {"success": True}
    assert respond(_REQUEST, REJECTED).status == 403


def test_a_page_without_a_referrer_has_none() -> None:
    """The first versions of the client say "direct"."""
    assert "referrer" not in _event(referrer="direct")
    assert _event(referrer="https://direct.example/")["referrer"] == "https://direct.example/"
