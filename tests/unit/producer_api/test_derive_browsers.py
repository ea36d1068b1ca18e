"""Browser, system, device and bots in user agents."""

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from producer_api.events.client import Client, Grant, SitePolicy
from producer_api.events.derive.browsers import read_user_agent
from producer_api.events.draft import EXCLUDED_HEADERS
from tests.unit.producer_api.derivation import derived

_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_MAC_KIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
#: Browsers of visitors, with family, major version, system and device.
BROWSERS = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/126.0.0.0 Safari/537.36": (
        *("Chrome", "126", "Windows", "desktop"),
    ),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/126.0.0.0 Safari/537.36 "
    "Edg/126.0.0.0": ("Edge", "126", "Windows", "desktop"),
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0": (
        *("Firefox", "127", "Ubuntu", "desktop"),
    ),
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_MAC_KIT} Version/17.5 Safari/605.1.15": (
        *("Safari", "17", "Mac OS X", "desktop"),
    ),
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {_MAC_KIT} Version/17.5 "
    "Mobile/15E148 Safari/604.1": ("Mobile Safari", "17", "iOS", "mobile"),
    f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {_MAC_KIT} Version/17.5 Mobile/15E148 "
    "Safari/604.1": ("Mobile Safari", "17", "iOS", "tablet"),
    f"Mozilla/5.0 (Linux; Android 10; K) {_KIT} Chrome/126.0.0.0 Mobile Safari/537.36": (
        *("Chrome Mobile", "126", "Android", "mobile"),
    ),
    f"Mozilla/5.0 (Linux; Android 14; SM-X910) {_KIT} Chrome/126.0.0.0 Safari/537.36": (
        *("Chrome", "126", "Android", "tablet"),
    ),
    f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {_KIT} SamsungBrowser/25.0 Chrome/121.0.0.0 "
    "Mobile Safari/537.36": ("Samsung Internet", "25", "Android", "mobile"),
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_KIT} Chrome/126.0.0.0 Safari/537.36": (
        *("Chrome", "126", "Chrome OS", "desktop"),
    ),
    f"Mozilla/5.0 (PlayStation; PlayStation 5/2.26) {_MAC_KIT} Version/13.0 Safari/605.1.15": (
        *("Safari", "13", None, "console"),
    ),
    f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) {_KIT} 76.0.3809.146/6.0 TV Safari/537.36": (
        *("Safari", None, "Tizen", "tv"),
    ),
    f"Mozilla/5.0 (Linux; Android 9; AFTKA) {_KIT} Silk/126.3.1 like Chrome/126.0 Safari/537.36": (
        *("Amazon Silk", "126", "Android", "tv"),
    ),
    f"Mozilla/5.0 (Linux; Android 11; SM-R890) {_KIT} Chrome/108.0 Mobile Safari/537.36": (
        *("Chrome", "108", "Android", "wearable"),
    ),
}
BOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} HeadlessChrome/126.0.0.0 Safari/537.36",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
]
LIBRARIES = [
    *("curl/8.5.0", "python-requests/2.32.3", "Python/3.11 aiohttp/3.14.1", "python-httpx/0.27"),
    *("Python-urllib/3.11", "Go-http-client/2.0", "axios/1.7.2", "okhttp/4.12.0", "node"),
    *("analytics-node-next/latest", "analytics-node/3.0.13", "analytics-python/2.4.0"),
    *("got (https://github.com/sindresorhus/got)", "Jersey/2.34 (HttpUrlConnection 11.0.11)"),
    *("WordPress/6.4; https://shop.example", "Zapier", "Faraday v2.9.0"),
    *("Symfony HttpClient (Curl)", "Symfony HttpClient/Curl"),
    *("Typhoeus - https://github.com/typhoeus/typhoeus", "analytics-go (version: 3.0.0)"),
    *("posthog-node/5.70.0", "http.rb/5.1.1", "Ruby", "Vert.x-WebClient/4.4.0"),
]


@pytest.mark.parametrize("user_agent", BROWSERS)
def test_browsers_are_described(user_agent: str) -> None:
    """Family, major version, system and device."""
    event = derived(Client(user_agent=user_agent))

    found = (event.browser, event.browser_version, event.os, event.device)
    assert found == BROWSERS[user_agent]


@pytest.mark.parametrize("user_agent", BROWSERS)
def test_browsers_are_no_bots(user_agent: str) -> None:
    """A visitor must not be excluded."""
    event = derived(Client(user_agent=user_agent))

    assert (event.is_bot, event.excluded) == (False, None)


@pytest.mark.parametrize("user_agent", BOTS)
def test_crawlers_and_headless_browsers_are_excluded(user_agent: str) -> None:
    """They are stored with a reason, which the router reads in a header."""
    event = derived(Client(user_agent=user_agent))

    assert (event.is_bot, event.excluded) == (True, "bot")
    assert EXCLUDED_HEADERS[event.excluded or ""] == ("excluded", b"bot")


def test_a_site_can_count_bots() -> None:
    """They are still marked."""
    policy = SitePolicy(counts_bots=True)
    event = derived(Client(user_agent=BOTS[0]), Grant("open", policy))

    assert (event.is_bot, event.excluded) == (True, None)


@pytest.mark.parametrize("user_agent", LIBRARIES)
def test_http_libraries_are_recognized(user_agent: str) -> None:
    """By the beginning of their user agents, so that no visitor is derived from back ends."""
    assert read_user_agent(user_agent).is_library


@pytest.mark.parametrize(
    "user_agent",
    ["Node.js crawler", "javascript-bot/1.0", "gotham/1.0", "Mozilla/5.0 (curl/8)", "RubyBot"],
)
def test_other_programs_are_no_libraries(user_agent: str) -> None:
    """Although their user agents begin with or contain the name of one."""
    assert not read_user_agent(user_agent).is_library


@pytest.mark.parametrize("user_agent", LIBRARIES)
def test_http_libraries_are_no_bots(user_agent: str) -> None:
    """Back ends send payments with them."""
    event = derived(Client(user_agent=user_agent))

    assert (event.is_bot, event.excluded, event.device) == (False, None, "other")
    assert event.user_agent == user_agent


def test_the_carried_user_agent_is_described() -> None:
    """The one of the visitor, not the one of the back end that sends it."""
    event = derived(Client(user_agent=LIBRARIES[0]), user_agent=BOTS[0])

    assert (event.is_bot, event.user_agent) == (True, BOTS[0])


def test_nearly_all_listed_crawlers_are_found() -> None:
    """All but HTTP libraries, by the examples of the list."""
    examples = [text for entry in CRAWLER_USER_AGENTS_DATA for text in entry.get("instances", ())]
    found = map(read_user_agent, examples)
    missed = [
        text
        for text, said in zip(examples, found, strict=True)
        if not (said.is_bot or said.is_library)
    ]

    assert len(examples) > 1_000
    assert len(missed) / len(examples) < 0.01, missed
