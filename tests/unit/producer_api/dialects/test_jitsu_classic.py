"""What Jitsu's client before version 2 sends in browsers; a recorded session is one of Node."""

from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.jitsu_classic import PATHS, translate
from producer_api.events.dialects.model import Event
from producer_api.events.request import Request
from tests.unit.producer_api.dialects.requests import post

_USER = {"anonymous_id": "a1", "id": "u1", "email": "ada@shop.example"}


def _event(**members: Any) -> Event:
    [event] = translate(post({"api_key": "shop", "user": _USER, **members}, PATHS[0]))
    return {name: value for name, value in event.items() if value is not None}


def test_a_page_view_of_a_browser() -> None:
    """The rest is what the client says about itself; traits are dropped if the visitor opts out."""
    event = _event(
        event_type="pageview",
        event_id="e1",
        ids={"ga": "1.2"},
        utc_time="2026-01-31T12:00:00.000000Z",
        url="https://shop.example/a",
        page_title="A",
        referer="https://news.example/",
        doc_path="/a",
        screen_resolution="1920x1080",
        vp_size="1366x768",
        utm={"source": "news"},
        click_id={},
        src="jitsu",
        color="red",
    )

    assert event == {
        "type": "pageview",
        "site_id": "shop",
        "visitor_id": "a1",
        "user_id": "u1",
        "event_id": "e1",
        "timestamp": "2026-01-31T12:00:00.000000Z",
        "url": "https://shop.example/a",
        "title": "A",
        "referrer": "https://news.example/",
        "utm": {"source": "news"},
        "screen": {
            "width": 1920,
            "height": 1080,
            "viewport_width": 1366,
            "viewport_height": 768,
        },
        "properties": {"color": "red"},
        UNMAPPED: {
            "src": "jitsu",
            "doc_path": "/a",
            "traits": {"email": "ada@shop.example", "ga": "1.2"},
        },
    }


def test_an_identification_has_the_traits() -> None:
    """They are members of the user."""
    event = _event(event_type="user_identify")

    assert (event["type"], event["user_id"]) == ("identify", "u1")
    assert event["properties"] == {"email": "ada@shop.example"}


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", PATHS[1], "token=shop", {}, b'[{"event_type": "a", "ids": 1}]'),
        Request("POST", PATHS[1], "", {b"x-auth-token": b"shop"}, b'{"event_type": "a"}'),
    ],
)
def test_the_token_is_the_site(request_: Request) -> None:
    """Of the query, or of a header as Jitsu documents for back ends."""
    [event] = translate(request_)

    assert (event["site_id"], event["event_name"]) == ("shop", "a")
