"""Requests of GoatCounter that the recorded sessions do not have."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.goatcounter import (
    respond_with_errors,
    respond_with_image,
    translate_hit,
    translate_hits,
)
from producer_api.events.dialects.model import PIXEL, Event, Outcome
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request

ORIGIN = {b"origin": b"https://www.shop.example"}
KEY = {b"authorization": b"Bearer hrk_a"}


def hit(
    path: str = "/count", headers: dict[bytes, bytes] | None = None, **parameters: str
) -> Event:
    """Return the event of a request of `count.js`, without nulls."""
    request = Request("POST", path, urlencode(parameters), ORIGIN if headers is None else headers)
    (event,) = translate_hit(request)
    return {name: value for name, value in event.items() if value is not None}


def hits(*many: Any, headers: dict[bytes, bytes] = KEY, **members: Any) -> list[Event]:
    """Return the events of a back end."""
    body = json.dumps({"hits": many, **members}).encode()
    return translate_hits(Request("POST", "/api/v0/count", "", headers, body))


@pytest.mark.parametrize(
    ("path", "headers", "site"),
    [
        ("/count/shop", {}, "shop"),
        ("/count/hrk_a", ORIGIN, "hrk_a"),
        ("/count", ORIGIN, "shop.example"),
        ("/count", {b"referer": b"https://blog.shop.example/a"}, "blog.shop.example"),
        ("/count", {b"origin": b"null", b"referer": b"http://shop.example:8080/"}, "shop.example"),
    ],
)
def test_the_site_is_in_the_endpoint_or_the_host_of_the_page(
    path: str, headers: dict[bytes, bytes], site: str
) -> None:
    """GoatCounter itself has a host for each site."""
    assert hit(path, headers, p="/")["site_id"] == site


@pytest.mark.parametrize("headers", [{}, {b"origin": b"null"}, {b"referer": b"https://"}])
def test_a_request_without_any_site_is_rejected(headers: dict[bytes, bytes]) -> None:
    """The message says how to name it."""
    with pytest.raises(Rejected) as caught:
        hit("/count", headers, p="/")

    assert "/count/SITE" in caught.value.sentence()


@pytest.mark.parametrize(
    ("parameters", "url", "path"),
    [
        ({"p": "/a"}, "https://www.shop.example/a", None),
        ({"p": "a"}, "https://www.shop.example/a", None),
        ({"p": "//a"}, "https://www.shop.example/a", None),
        ({"p": "/a", "q": "?utm_source=b"}, "https://www.shop.example/a?utm_source=b", None),
        ({"p": "/a?b=1", "q": "?b=1"}, "https://www.shop.example/a?b=1", None),
        ({"p": "/a#/b", "q": "c=1"}, "https://www.shop.example/a?c=1#/b", "/a#/b"),
    ],
)
def test_the_url_is_that_of_the_page(
    parameters: dict[str, Any], url: str, path: str | None
) -> None:
    """Its path is what the site chose, with the query of the page if it has none."""
    event = hit(**parameters)

    assert (event["url"], event.get("path")) == (url, path)
    assert UNMAPPED not in event


def test_a_view_without_a_path_is_of_the_referring_page() -> None:
    """As of a pixel without parameters."""
    assert hit(headers={b"referer": b"https://shop.example/a"})["url"] == "https://shop.example/a"


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        (b"https://shop.example/", {"hostname": "www.shop.example"}),
        (b"https://shop.example/a?b=1", {"url": "https://shop.example/a?b=1"}),
    ],
)
def test_the_path_of_an_event_is_its_name(referer: bytes, page: dict[str, str]) -> None:
    """Its page is known if the browser sends the whole referrer."""
    event = hit(headers={**ORIGIN, b"referer": referer}, p="/buy", e="true", q="?b=1")

    assert (event["type"], event["event_name"]) == ("custom_event", "buy")
    assert {name: event[name] for name in ("hostname", "url") if name in event} == page


def test_the_query_of_an_event_is_that_of_a_url() -> None:
    """So that e-mail addresses in it are masked."""
    event = hit(headers=ORIGIN, p="buy", e="true", q="email=ada%40shop.example")

    assert event[UNMAPPED]["query"] == "?email=ada%40shop.example"


@pytest.mark.parametrize(
    ("size", "screen"),
    [
        ("412", {"width": 412}),
        ("1536,864,1.25", {"width": 1536, "height": 864, "pixel_ratio": 1.25}),
    ],
)
def test_the_size_is_that_of_the_screen(size: str, screen: dict[str, float]) -> None:
    """Its width, or width, height and scale."""
    assert hit(p="/", s=size)["screen"] == screen


@pytest.mark.parametrize("size", ["wide", "1,2,3,4", "1,,2", ""])
def test_another_size_is_kept(size: str) -> None:
    """Together with what else has no field."""
    event = hit(p="/", s=size, b="153")

    assert "screen" not in event
    assert event[UNMAPPED] == {"size": size, "bot": "153"}


def test_a_hit_that_is_sent_again_has_the_same_id() -> None:
    """Another one has another; the pixel has none."""
    assert hit(p="/", rnd="abc")["event_id"] == hit(p="/", rnd="abc")["event_id"]
    assert hit(p="/", rnd="abc")["event_id"] != hit(p="/", rnd="xyz")["event_id"]
    assert "event_id" not in hit(p="/")


def test_back_ends_send_all_that_they_know_of_a_visitor() -> None:
    """Their API token is a site key."""
    (event,) = hits(
        {
            "path": "/a",
            "query": "utm_source=b",
            "title": "A",
            "ref": "https://c.example/",
            "event": False,
            "size": [1, 2, 3],
            "user_agent": "Mozilla",
            "location": "NL",
            "ip": "203.0.113.7",
            "created_at": "2026-01-31T12:00:00Z",
            "session": "s",
        }
    )

    assert {name: value for name, value in event.items() if value is not None} == {
        "type": "pageview",
        "site_id": "hrk_a",
        "session_id": "s",
        "url": "/a?utm_source=b",
        "title": "A",
        "referrer": "https://c.example/",
        "screen": {"width": 1, "height": 2, "pixel_ratio": 3},
        "user_agent": "Mozilla",
        "ip": "203.0.113.7",
        "timestamp": "2026-01-31T12:00:00Z",
        UNMAPPED: {"location": "NL"},
    }


def test_hits_without_sessions_are_visits_of_their_own() -> None:
    """If the back end says so; a request that is sent again has the same sessions."""
    sent = ({"path": "/a"}, {"path": "/a"}, {"path": "/a", "session": "s"})

    sessions = [event["session_id"] for event in hits(*sent, no_sessions=True)]

    assert len(set(sessions)) == 3
    assert sessions[2] == "s"
    assert sessions == [event["session_id"] for event in hits(*sent, no_sessions=True)]
    assert [event["session_id"] for event in hits(*sent)] == [None, None, "s"]


@pytest.mark.parametrize("headers", [{}, {b"authorization": b"Bearer 2q2snk7c"}])
def test_an_api_token_that_is_no_site_key_is_rejected(headers: dict[bytes, bytes]) -> None:
    """The message says what to send."""
    with pytest.raises(Rejected, match="bad_key"):
        hits({"path": "/"}, headers=headers)


@pytest.mark.parametrize("many", [None, {}, "hits"])
def test_hits_must_be_an_array(many: Any) -> None:
    """Of objects."""
    with pytest.raises(Rejected, match="wrong_kind"):
        hits(hits=many)
    with pytest.raises(Rejected, match="not_an_object"):
        hits(many or 1)


@pytest.mark.parametrize("value", [None, 1, 10**400, True, [], [10**400], {}])
def test_members_of_other_kinds_are_no_error(value: Any) -> None:
    """Most are made texts when the event is completed."""
    members = ("path", "query", "title", "ref", "size", "session", "user_agent", "ip", "event")

    for name in members:
        assert len(hits({"path": "/", name: value}, headers=KEY)) == 1


ACCEPTED = {"index": 0, "status": "accepted", "event_id": "a"}
REJECTED = {"index": 1, "status": "rejected", "error": "No.", "code": "unknown_site"}


@pytest.mark.parametrize(
    ("results", "status", "body"),
    [
        ([ACCEPTED], 202, {"status": "ok"}),
        ([ACCEPTED, REJECTED], 400, {"errors": {"1": "No."}}),
        ([], 400, {"error": "no hits"}),
    ],
)
def test_errors_name_the_hits_that_were_rejected(
    results: list[dict[str, Any]], status: int, body: dict[str, Any]
) -> None:
    """The others are stored, and not to be sent again."""
    reply = respond_with_errors(Request("POST", ""), Outcome(207, results))

    assert (reply.status, json.loads(reply.body)) == (status, body)


def test_a_page_gets_an_image() -> None:
    """If there is no error."""
    request = Request("GET", "/count")

    assert respond_with_image(request, Outcome(202, [ACCEPTED])) == PIXEL
    assert respond_with_image(request, Outcome(403, [REJECTED])).status == 403
