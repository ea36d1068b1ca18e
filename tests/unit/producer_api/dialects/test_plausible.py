"""Requests of Plausible that the recorded sessions do not have."""

import gzip
import json
from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event, Outcome
from producer_api.events.dialects.plausible import is_plausible, respond, translate
from producer_api.events.request import Request

URL = "https://www.shop.example/pricing"


def sent(body: Any) -> Request:
    """Return the request with a JSON body."""
    return Request("POST", "/api/event", body=json.dumps(body).encode())


def event_of(**members: Any) -> Event:
    """Return the event of a page view with more members, without nulls."""
    (event,) = translate(sent({"n": "pageview", "u": URL, "d": "shop.example", **members}))
    return {name: value for name, value in event.items() if value is not None}


@pytest.mark.parametrize(
    ("body", "is_known"),
    [
        ({"n": "pageview", "d": "shop.example"}, True),
        ({"name": "pageview", "url": URL}, True),
        ({"name": "pageview", "domain": "shop.example", "url": URL}, True),
        ({"n": "pageview"}, False),
        ({"n": "a", "d": "b", "type": "pageview"}, False),
        ({"name": "a", "url": URL, "site_id": "shop"}, False),
        ([], False),
        ("n", False),
    ],
)
def test_events_of_plausible_are_recognized_by_their_members(body: Any, is_known: bool) -> None:
    """An event of our own API that lacks a field is none of Plausible."""
    assert is_plausible(sent(body)) is is_known


def test_a_body_may_be_gzip_without_a_header() -> None:
    """Some proxies decompress nothing, and drop the header."""
    packed = gzip.compress(sent({"n": "404", "d": "shop", "p": {"path": "/x"}}).body)

    request = Request("POST", "/api/event", body=packed)

    assert is_plausible(request)
    assert translate(request)[0]["properties"] == {"path": "/x"}


def test_other_bytes_are_none_of_plausible() -> None:
    """The native API then says what is wrong with them."""
    assert not is_plausible(Request("POST", "/api/event", body=b"\xff"))


@pytest.mark.parametrize(
    ("revenue", "amount", "currency"),
    [
        ({"amount": 29, "currency": "EUR"}, 29, "EUR"),
        ({"amount": "19.90", "currency": "USD"}, "19.90", "USD"),
        ('{"amount": 1, "currency": "USD"}', 1, "USD"),
        ({"amount": 0}, 0, None),
    ],
)
def test_revenue_with_an_amount_is_a_payment(
    revenue: Any, amount: Any, currency: str | None
) -> None:
    """With the name of the event."""
    event = event_of(**{"n": "Purchase", "$": revenue})

    assert (event["type"], event["event_name"]) == ("payment", "Purchase")
    assert (event["amount"], event.get("currency")) == (amount, currency)


@pytest.mark.parametrize(
    ("revenue", "kept"),
    [
        ({}, None),
        ({"currency": "EUR"}, {"currency": "EUR"}),
        ({"amount": "free"}, {"amount": "free"}),
        ({"amount": True}, {"amount": True}),
        ({"amount": 10**400}, {"amount": 10**400}),
        ("much", {"value": "much"}),
        (5, {"value": 5}),
    ],
)
def test_other_revenue_is_no_payment(revenue: Any, kept: Any) -> None:
    """What was sent is kept."""
    event = event_of(**{"n": "Purchase", "$": revenue})

    assert event["type"] == "custom_event"
    assert event.get(UNMAPPED, {}).get("$") == kept


@pytest.mark.parametrize(
    ("props", "properties"),
    [
        ({"plan": "pro"}, {"plan": "pro"}),
        ('{"plan": "pro"}', {"plan": "pro"}),
        ("pro", {"value": "pro"}),
        (["pro"], {"value": ["pro"]}),
        ({}, None),
        ("", {"value": ""}),
    ],
)
def test_properties_are_an_object_or_its_json(props: Any, properties: Any) -> None:
    """Anything else is one property."""
    for name in ("p", "props", "m", "meta"):
        assert event_of(**{name: props}).get("properties") == properties


def test_engagement_is_new_time_on_the_page() -> None:
    """With the scroll depth as a property."""
    event = event_of(n="engagement", e=4883, sd=70, v=36)

    assert (event["type"], event["duration"]) == ("pageleave", 4883)
    assert event["properties"] == {"scroll": 70}
    assert "event_name" not in event
    assert event[UNMAPPED] == {"v": 36}


@pytest.mark.parametrize("engaged", [30 * 86_400_000, "long"])
def test_absurd_engagement_is_kept_but_no_duration(engaged: Any) -> None:
    """An early client sent the time since 1970."""
    event = event_of(n="engagement", e=engaged)

    assert "duration" not in event
    assert event[UNMAPPED] == {"e": engaged}


@pytest.mark.parametrize(
    ("hash_mode", "url", "path"),
    [
        (1, f"{URL}?a=1#/plans", "/pricing#/plans"),
        (1, URL, None),
        (1, "about:blank#/plans", None),
        (0, f"{URL}#/plans", None),
        (None, f"{URL}#/plans", None),
    ],
)
def test_hash_routes_are_pages(hash_mode: Any, url: str, path: str | None) -> None:
    """If the site routes by the fragment; else the path is that of the URL."""
    assert event_of(u=url, h=hash_mode).get("path") == path


@pytest.mark.parametrize(
    ("members", "sites"),
    [
        ({"d": "a.example, b.example,a.example"}, ["a.example", "b.example"]),
        ({"d": None}, ["shop.example"]),
        ({"d": None, "u": "about:blank"}, [""]),
        ({"d": 7}, ["7"]),
    ],
)
def test_an_event_may_belong_to_several_sites(members: dict[str, Any], sites: list[str]) -> None:
    """Each gets one; without a domain it is the host of the page."""
    events = translate(sent({"n": "pageview", "u": URL, **members}))

    assert [event["site_id"] for event in events] == sites


def test_what_has_no_field_is_kept() -> None:
    """Also the second name of a member; nulls say nothing."""
    event = event_of(i=False, v=36, w=412, name="other", r=None, own=None)

    assert event[UNMAPPED] == {"i": False, "v": 36, "name": "other"}
    assert event["screen"] == {"viewport_width": 412}


def test_a_rejection_is_an_error_with_the_status_of_its_reason() -> None:
    """The client reads nothing; its developer does."""
    rejected = {"index": 0, "status": "rejected", "error": "No.", "code": "unknown_site"}

    reply = respond(sent({}), Outcome(403, [rejected]))

    assert (reply.status, json.loads(reply.body)["code"]) == (403, "unknown_site")
