"""Fields from the URL and from the headers of a request."""

from typing import Any

import pytest

from producer_api.events.client import Client
from schemas.records import Utm
from tests.unit.producer_api.derivation import BROWSER, derived


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://Shop.Example:8080/a/../b?x=1#y", "shop.example", "/b"),
        ("https://bücher.example/grüße", "xn--bcher-kva.example", "/gr%C3%BC%C3%9Fe"),
        ("https://shop.example", "shop.example", "/"),
        ("shop.example/a", "shop.example", "/a"),
        ("/only/a/path?x", None, "/only/a/path"),
        ("about:blank", None, None),
        ("data:text/html,x", None, None),
        ("https://[broken", None, None),
        ("", None, None),
    ],
)
def test_hostname_and_path_are_those_of_the_url(
    url: str, host: str | None, path: str | None
) -> None:
    """By the rules of browsers; an opaque URL has neither."""
    event = derived(url=url)

    assert (event.hostname, event.path) == (host, path)


def test_carried_fields_are_not_overwritten() -> None:
    """Even if the URL and the headers say otherwise."""
    carried: dict[str, Any] = {
        "hostname": "www.shop.example",
        "path": "/virtual",
        "utm": {"source": "mine"},
        "ad_click_ids": {"own": "1"},
        "user_agent": "MyApp/2",
        "language": "fr",
        "visitor_id": "v-1",
    }
    event = derived(url="https://shop.example/a?utm_source=news&utm_medium=m&gclid=g", **carried)

    assert event.utm == Utm(source="mine")
    for name in carried.keys() - {"utm"}:
        assert getattr(event, name) == carried[name], name


def test_campaign_parameters_are_decoded() -> None:
    """Names in any case; the first of several wins, and empty ones do not count."""
    query = (
        "UTM_Source=&utm_source=Spring+News&utm_source=b&utm_medium=e%2Dmail&utm_term=%F0%9F%91%9F"
    )
    event = derived(
        url=f"https://shop.example/?{query}&utm_campaign=c&utm_content=x%00y#utm_term=no"
    )

    assert event.utm == Utm("Spring News", "e-mail", "c", "👟", "x\ufffdy")


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("ref=ProductHunt", "ProductHunt"),
        ("source=letter&ref=other", "letter"),
        ("utm_source=a&source=b", "a"),
        ("utm_campaign=c", None),
    ],
)
def test_ref_and_source_name_the_source(query: str, source: str | None) -> None:
    """`utm_source` is more specific."""
    event = derived(url=f"https://shop.example/?{query}")

    assert event.utm is not None
    assert event.utm.source == source


def test_click_ids_are_collected() -> None:
    """Of the advertisers that are known, with names in lower case."""
    names = "gclid gbraid wbraid dclid fbclid msclkid ttclid twclid li_fat_id yclid rdt_cid epik"
    query = "&".join(f"{name}={name}-1" for name in names.split())
    event = derived(url=f"https://shop.example/?{query}&ScCid=s&other=1")

    assert event.ad_click_ids == {**{name: f"{name}-1" for name in names.split()}, "sccid": "s"}


def test_derived_texts_are_limited() -> None:
    """Like those that clients send."""
    event = derived(
        Client(user_agent="A" * 3_000, language="de"),
        url=f"https://shop.example/?utm_source={'s' * 900}&gclid={'g' * 900}",
    )

    assert event.utm is not None
    assert event.utm.source == "s" * 512
    assert event.ad_click_ids == {"gclid": "g" * 512}
    assert event.user_agent == "A" * 512


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-AT,de;q=0.9", "de-AT"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        (" en ;q=0.5", "en"),
        ("*", None),
        ("", None),
        ("../../etc", None),
    ],
)
def test_the_language_is_the_first_tag(header: str, language: str | None) -> None:
    """Anything else is not a language."""
    assert derived(Client(language=header)).language == language


def test_an_event_without_a_client_has_only_a_channel() -> None:
    """Nothing is derived from headers that are absent."""
    event = derived(Client())

    assert (event.channel, event.source, event.trust) == ("Direct", None, "open")
    names = ("user_agent", "language", "browser", "os", "device", "country", "region", "visitor_id")
    assert [getattr(event, name) for name in names] == [None] * len(names)
    assert (event.is_bot, event.excluded) == (False, None)


def test_the_browser_of_a_request_is_stored() -> None:
    """The user agent and the language."""
    event = derived()

    assert (event.user_agent, event.language) == (BROWSER.user_agent, "de-AT")
