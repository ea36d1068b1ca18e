"""Sources and channels: a test for each rule."""

import tomllib
from collections import Counter
from importlib.resources import files
from urllib.parse import urlencode

import pytest

from producer_api.events import derive
from producer_api.events.derive.channels import DIRECT, RULES
from producer_api.events.derive.sources import CLICK_SOURCES, source_of_host
from tests.unit.producer_api.derivation import derived

GOOGLE = "https://www.google.com/"
#: The channel, and an event that it is of: referrer, and parameters of the URL.
CASES: list[tuple[str, str, str, dict[str, str]]] = [
    ("Cross-network", "Google", GOOGLE, {"utm_campaign": "x-Cross-Network-1", "utm_medium": "cpc"}),
    ("Paid Shopping", "Amazon", "https://www.amazon.co.uk/", {"utm_medium": "cpc"}),
    ("Paid Shopping", "Google", GOOGLE, {"utm_campaign": "shopping-de", "utm_medium": "ppc"}),
    ("Paid Search", "Google", GOOGLE, {"utm_medium": "CPC"}),
    ("Paid Search", "Google", GOOGLE, {"gclid": "1"}),
    ("Paid Search", "Google", "", {"gclid": "1"}),
    ("Paid Search", "Google", "", {"wbraid": "1"}),
    ("Paid Search", "Bing", "https://www.bing.com/", {"msclkid": "1"}),
    ("Paid Search", "Google", "", {"utm_source": "google-ads"}),
    ("Paid Search", "Google", "", {"utm_source": "adwords"}),
    ("Paid Search", "Google", "", {"utm_source": "google", "utm_medium": "cpm"}),
    ("Paid Social", "Facebook", "", {"utm_source": "fb", "utm_medium": "paid_social"}),
    ("Paid Social", "Facebook", "", {"utm_source": "facebook_ad"}),
    ("Paid Social", "Reddit", "https://old.reddit.com/", {"utm_medium": "retargeting"}),
    ("Paid Video", "YouTube", "https://m.youtube.com/", {"utm_medium": "cpv-cpm"}),
    ("Paid Video", "YouTube", "", {"utm_source": "yt-ads"}),
    ("Display", "partner", "", {"utm_source": "partner", "utm_medium": "banner"}),
    ("Display", "partner", "", {"utm_source": "partner", "utm_medium": "interstitial"}),
    ("Paid Other", "partner", "", {"utm_source": "partner", "utm_medium": "paid"}),
    ("Organic Shopping", "Etsy", "https://www.etsy.com/", {}),
    ("Organic Shopping", "partner", "", {"utm_source": "partner", "utm_campaign": "my shop"}),
    ("Organic Social", "Facebook", "https://l.facebook.com/", {}),
    ("Organic Social", "Facebook", "https://l.facebook.com/", {"fbclid": "1"}),
    ("Organic Social", "X", "https://t.co/abc", {}),
    ("Organic Social", "Hacker News", "https://news.ycombinator.com/item?id=1", {}),
    ("Organic Social", "partner", "", {"utm_source": "partner", "utm_medium": "social-media"}),
    ("Organic Video", "YouTube", "https://youtu.be/", {}),
    ("Organic Video", "partner", "", {"utm_source": "partner", "utm_medium": "video-post"}),
    ("AI Assistants", "ChatGPT", "", {"utm_source": "chatgpt.com"}),
    ("AI Assistants", "Perplexity", "https://www.perplexity.ai/search", {}),
    ("AI Assistants", "Google Gemini", "https://gemini.google.com/", {}),
    ("Organic Search", "Google", "https://www.google.com.br/", {}),
    ("Organic Search", "DuckDuckGo", "https://duckduckgo.com/", {}),
    ("Organic Search", "Google", "android-app://com.google.android.googlequicksearchbox/", {}),
    ("Organic Search", "partner", "", {"utm_source": "partner", "utm_medium": "organic"}),
    ("Email", "Gmail", "https://mail.google.com/", {}),
    ("Email", "spring", "", {"utm_source": "spring", "utm_medium": "e-mail"}),
    ("Email", "weekly-newsletter", "", {"utm_source": "weekly-newsletter"}),
    ("Affiliates", "partner", "", {"utm_source": "partner", "utm_medium": "affiliate"}),
    ("Audio", "podcast", "", {"utm_source": "podcast", "utm_medium": "audio"}),
    ("SMS", "sms", "", {"utm_source": "sms"}),
    ("SMS", "partner", "", {"utm_source": "partner", "utm_medium": "sms"}),
    ("Mobile Push Notifications", "app", "", {"utm_source": "app", "utm_medium": "web-push"}),
    ("Mobile Push Notifications", "firebase", "", {"utm_source": "firebase"}),
    ("Referral", "blog.example", "https://www.blog.example/post", {}),
    ("Referral", "partner", "", {"utm_source": "partner", "utm_medium": "anything"}),
    ("Direct", "", "", {}),
    ("Direct", "", "", {"utm_source": "(direct)", "utm_medium": "(none)"}),
]


@pytest.mark.parametrize(("channel", "source", "referrer", "parameters"), CASES)
def test_each_rule(channel: str, source: str, referrer: str, parameters: dict[str, str]) -> None:
    """The source and the channel of an event with a referrer and a query."""
    event = derived(url=f"https://shop.example/?{urlencode(parameters)}", referrer=referrer)

    assert (event.channel, event.source or "") == (channel, source)


def test_every_rule_has_a_case() -> None:
    """And the last one, for visitors without a source."""
    assert {case[0] for case in CASES} == {*(name for name, _ in RULES), DIRECT}


@pytest.mark.parametrize(
    ("site", "referrer", "source"),
    [
        ("https://shop.example/", "https://shop.example/a", None),
        ("https://shop.example/", "https://www.shop.example/", None),
        ("https://www.shop.co.uk/", "https://pay.shop.co.uk/", None),
        ("https://a.github.io/", "https://b.github.io/", "b.github.io"),
        ("https://shop.co.uk/", "https://other.co.uk/", "other.co.uk"),
        ("http://127.0.0.1:3000/", "http://127.0.0.1:4000/", None),
        ("http://10.0.0.1/", "http://10.0.0.2/", "10.0.0.2"),
        ("http://localhost/", "http://localhost:3000/", None),
        ("https://google.com/", "https://www.google.com/", None),
        ("https://shop.example/", "/a/path", None),
    ],
)
def test_the_site_itself_is_no_referrer(site: str, referrer: str, source: str | None) -> None:
    """All hosts of its registrable domain are the site's."""
    event = derived(url=site, referrer=referrer)

    assert (event.source, event.channel) == (source, "Direct" if source is None else "Referral")


def test_the_carried_hostname_is_the_site() -> None:
    """If an event has no URL."""
    assert derived(hostname="shop.example:80", referrer="https://www.shop.example/").source is None


def test_a_carried_campaign_comes_first() -> None:
    """Before the referrer, whatever the URL says."""
    utm = {"source": "Reddit", "medium": "cpc"}
    event = derived(url="https://a.example/?utm_source=x", referrer=GOOGLE, utm=utm)

    assert (event.source, event.channel) == ("Reddit", "Paid Social")


def test_carried_click_ids_name_a_source() -> None:
    """As those of the URL do."""
    event = derived(ad_click_ids={"msclkid": "1", "own": "2"})

    assert (event.source, event.channel) == ("Bing", "Paid Search")


@pytest.mark.parametrize(
    ("host", "name", "kind"),
    [
        ("accounts.google.com", "accounts.google.com", ""),
        ("google.com.evil.example", "google.com.evil.example", ""),
        ("notgoogle.com", "notgoogle.com", ""),
        ("www.google.de", "Google", "search"),
        ("de.search.yahoo.com", "Yahoo!", "search"),
        ("mail.yahoo.com", "Yahoo! Mail", "mail"),
        ("lm.facebook.com", "Facebook", "social"),
        ("www.amazon.co.jp", "Amazon", "shopping"),
        ("localhost", "localhost", ""),
    ],
)
def test_hosts_are_matched_by_their_domain(host: str, name: str, kind: str) -> None:
    """Not by a part of their name, and not by what precedes another domain."""
    source = source_of_host(host)

    assert (source.name, source.kind) == (name, kind)


def test_every_host_and_name_is_of_one_source() -> None:
    """In lower case; the sources of click ids are listed."""
    tables = tomllib.loads((files(derive) / "sources.toml").read_text("utf-8"))
    sources = [item for table in tables.values() for item in table.items()]
    tokens = [token for _, tokens in sources for token in tokens]
    tokens += [name.lower() for name, names in sources if name.lower() not in names]

    assert [token for token, count in Counter(tokens).items() if count > 1] == []
    assert [token for token in tokens if token != token.lower()] == []
    assert {*CLICK_SOURCES.values()} <= {name for name, _ in sources}
