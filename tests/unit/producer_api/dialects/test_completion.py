"""What the framework adds to translated events: sites of keys, and session ids."""

import pytest

from producer_api.events.client import Client
from producer_api.events.dialects.completion import Completion
from producer_api.events.dialects.model import AGE, SITE_KEY, Event
from producer_api.events.rejection import Rejected

_KEY = "hrk_0123456789"
_VIEW: Event = {"type": "pageview", "site_id": "shop"}
_VISIT = "sd-visitor"
#: 2026-12-01, in microseconds.
_NOW = 1_796_083_200_000_000


class _Sites:
    is_loaded = True

    def site_of(self, key: str) -> str | None:
        return "shop" if key == _KEY else None


def _complete(event: Event, client: Client) -> tuple[Event, Client]:
    completion = Completion(_Sites(), lambda *_: "d-visitor", lambda: _NOW)
    ([event], client) = completion.complete([event], client)
    return event, client


def test_the_key_of_a_site_stands_for_the_site() -> None:
    """It also vouches for the event."""
    event, client = _complete({**_VIEW, "site_id": _KEY}, Client())

    assert (event["site_id"], event[SITE_KEY], client.key) == ("shop", _KEY, "")


def test_an_unknown_key_is_the_id_of_no_site() -> None:
    """The event is rejected when it is parsed, without the others of its batch."""
    event, _ = _complete({**_VIEW, "site_id": "hrk_other"}, Client())

    assert (event["site_id"], event[SITE_KEY]) == ("", "hrk_other")


def test_a_key_may_be_one_of_a_site_that_is_not_loaded_yet() -> None:
    """So the client has to send the event again."""
    sites = _Sites()
    sites.is_loaded = False
    completion = Completion(sites, lambda *_: None, lambda: _NOW)

    assert completion.complete([{**_VIEW, "site_id": _KEY, "session_id": "s"}], Client())
    with pytest.raises(Rejected, match="not_ready"):
        completion.complete([{**_VIEW, "site_id": "hrk_other"}], Client())


@pytest.mark.parametrize(
    ("ip", "key", "session"),
    [
        ("203.0.113.7", _KEY, "203.0.113.7"),
        (" 2001:db8::1 ", _KEY, "2001:db8::1"),
        ("unknown", _KEY, "192.0.2.1"),
        ({}, _KEY, "192.0.2.1"),
        ("203.0.113.7", "", "192.0.2.1"),
    ],
)
def test_a_back_end_with_a_key_reports_addresses(ip: object, key: str, session: str) -> None:
    """An address that nobody vouches for is dropped, and an invalid one is not used."""
    completion = Completion(_Sites(), lambda _, __, address, ___: address, lambda: _NOW)

    (event,), _ = completion.complete([{**_VIEW, "ip": ip}], Client(key=key, address="192.0.2.1"))

    assert event["session_id"] == f"s{session}"
    assert ("ip" in event) == bool(key)


@pytest.mark.parametrize(("sent", "used"), [(_KEY, _KEY), ("None", ""), ("eyJhbGciOi.e30", "")])
def test_a_bearer_token_of_another_system_is_no_site_key(sent: str, used: str) -> None:
    """Umami (PyPI) sends `Bearer None` before its login, and a JWT after it."""
    _, client = _complete(_VIEW, Client(key=sent))

    assert client.key == used


def test_a_visit_in_a_browser_continues_when_the_visitor_logs_in() -> None:
    """The user id comes with the login only."""
    browser = Client(origin="https://shop.example")

    before, _ = _complete(_VIEW, browser)
    after, _ = _complete({**_VIEW, "user_id": "ada"}, browser)

    assert before["session_id"] == after["session_id"] == _VISIT


def test_the_users_of_a_back_end_have_sessions_of_their_own() -> None:
    """They all have its address and user agent."""
    ada, _ = _complete({**_VIEW, "user_id": "ada"}, Client())
    grace, _ = _complete({**_VIEW, "user_id": "grace"}, Client())

    assert len({ada["session_id"], grace["session_id"], _VISIT}) == 3


def test_a_visitor_id_determines_the_session_in_a_browser_too() -> None:
    """Clients that have one keep it over networks and days."""
    browser = Client(origin="https://shop.example")

    event, _ = _complete({**_VIEW, "visitor_id": "v1"}, browser)

    assert event["session_id"] not in ("v1", _VISIT)


@pytest.mark.parametrize(
    ("event", "hostname"),
    [
        (_VIEW, "shop.example"),
        ({**_VIEW, "hostname": "www.shop.example"}, "www.shop.example"),
        ({**_VIEW, "url": "https://www.shop.example/"}, None),
    ],
)
def test_an_event_without_a_page_is_of_the_origin(event: Event, hostname: str | None) -> None:
    """Else its referrer, a page of the site, is taken for another site."""
    completed, _ = _complete(event, Client(origin="https://shop.example"))

    assert completed.get("hostname") == hostname


@pytest.mark.parametrize(
    ("url", "completed"),
    [
        ("/pricing?x=1", "https://shop.example/pricing?x=1"),
        ("//other.example/", "//other.example/"),
        ("https://shop.example/", "https://shop.example/"),
        (7, 7),
    ],
)
def test_a_path_is_of_the_origin(url: object, completed: object) -> None:
    """Sites with their own routes report these, such as to `screenView` of OpenPanel."""
    event, _ = _complete({**_VIEW, "url": url}, Client(origin="https://shop.example"))

    assert event["url"] == completed


@pytest.mark.parametrize(
    ("age", "timestamp"),
    [(1500, "2026-11-30T23:59:58.500000+00:00"), (-1000, "2026-12-01T00:00:01+00:00")],
)
def test_an_event_has_the_time_of_its_request_less_its_age(age: float, timestamp: str) -> None:
    """Also of a site with an import window, which keeps times as they are."""
    event, _ = _complete({**_VIEW, AGE: age}, Client())

    assert event["timestamp"] == timestamp
    assert AGE not in event


def test_a_path_of_a_page_without_a_host_stays_a_path() -> None:
    """Such as one in a file, or in a sandboxed frame."""
    event, _ = _complete({**_VIEW, "url": "/pricing"}, Client(origin="null"))

    assert event["url"] == "/pricing"
