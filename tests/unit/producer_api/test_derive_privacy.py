"""Masked e-mail addresses, and visitors who opt out."""

from typing import Any

import pytest
from msgspec.structs import replace

from producer_api.events.client import OPEN_GRANT, Grant, SitePolicy
from producer_api.events.derive.privacy import mask_emails
from tests.unit.producer_api.around import NOW
from tests.unit.producer_api.derivation import BROWSER, derived, lookups_of, salted

PRIVATE = replace(BROWSER, opts_out=True)
IDS: dict[str, Any] = {
    "visitor_id": "v-1",
    "user_id": "u-1",
    "ad_click_ids": {"gclid": "g", "own": "o"},
}


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://a.example/?email=ada@example.com&x=1", "https://a.example/?email=***&x=1"),
        ("https://a.example/?e=ada%40example.com#top", "https://a.example/?e=***#top"),
        ("https://a.example/?e=ada%2540example.com", "https://a.example/?e=***"),
        ("/thanks?to=mailto:ada@example.co.uk;x", "/thanks?to=***;x"),
        ("https://a.example/?ada@example.com", "https://a.example/?***"),
        ("https://a.example/#/done?e=a.b+c@x.museum", "https://a.example/#/done?e=***"),
        ("https://a.example/?e=ada%40b%C3%BCcher.example", "https://a.example/?e=***"),
        ("https://a.example/?next=https://b.example/?q=ada@b.example", None),
        ("https://a.example/?q=%22ada@b.example%22+hello", "https://a.example/?q=***"),
    ],
)
def test_emails_in_a_query_are_masked(url: str, masked: str | None) -> None:
    """Encoded or not; the rest of the URL is unchanged."""
    result = mask_emails(url)

    assert "ada" not in result
    assert masked is None or result == masked


@pytest.mark.parametrize(
    "url",
    [
        "https://social.example/@ada?page=2",
        "https://maps.example/?at=@52.5,13.4,15z",
        "https://a.example/?package=left-pad@1.3.0",
        "https://user@host.example/path",
        "https://a.example/?at=5%40home",
        "https://a.example/?x=1",
        "",
    ],
)
def test_other_urls_are_unchanged(url: str) -> None:
    """An at sign alone is no e-mail address."""
    assert mask_emails(url) == url


def test_an_email_that_was_truncated_is_masked() -> None:
    """A URL that is too long ends anywhere."""
    url = f"https://a.example/?x={'x' * 2_000}&email=ada%40exam"

    assert mask_emails(url.ljust(2_048, "p")).endswith("&email=***")


@pytest.mark.parametrize("part", ["a", "a@", "a.b@c.", "@a.", "%2540"])
def test_the_cost_of_hostile_values_is_linear(part: str) -> None:
    """A quadratic search would take hours for these, and exceed the timeout of the test."""
    assert mask_emails(f"https://a.example/?x={part * 500_000}@").startswith(
        "https://a.example/?x="
    )


def test_url_and_referrer_are_masked_in_the_record() -> None:
    """Also what is derived from them; the setting turns it off."""
    url = "https://shop.example/?utm_content=ada@example.com"
    raw = lookups_of(salted(lambda: NOW, 0), masks_emails=False)
    masked = derived(url=url, referrer="https://b.example/?e=ada@example.com")
    plain = derived(with_lookups=raw, url=url, referrer="https://b.example/?e=ada@example.com")

    assert masked.utm is not None
    assert (masked.url, masked.referrer, masked.utm.content) == (
        "https://shop.example/?utm_content=***",
        "https://b.example/?e=***",
        "***",
    )
    assert (plain.url, plain.referrer) == (url, "https://b.example/?e=ada@example.com")


def test_an_opt_out_removes_all_ids() -> None:
    """Those that the event carries, those of its URLs, and those that would be derived."""
    event = derived(
        PRIVATE,
        url="https://shop.example/a?gclid=g&utm_medium=m&fbclid=f&%67braid=b#x",
        referrer="https://shop.example/?ttclid=t&q=1",
        **IDS,
    )

    assert (event.visitor_id, event.user_id, event.ad_click_ids) == (None, None, None)
    assert event.url == "https://shop.example/a?utm_medium=m#x"
    assert event.referrer == "https://shop.example/?q=1"


def test_an_opt_out_keeps_what_identifies_nobody() -> None:
    """The paid click still decides on the channel."""
    event = derived(PRIVATE, url="https://shop.example/?gclid=g")

    assert (event.source, event.channel, event.country) == ("Google", "Paid Search", "US")
    assert (event.browser, event.url) == ("Chrome", "https://shop.example/")


def test_a_site_can_ignore_the_opt_out() -> None:
    """Its events keep their ids."""
    grant = Grant("open", SitePolicy(honours_opt_out=False))
    event = derived(PRIVATE, grant, url="https://shop.example/?gclid=g", **IDS)

    assert (event.visitor_id, event.user_id) == ("v-1", "u-1")
    assert (event.ad_click_ids, event.url) == (IDS["ad_click_ids"], "https://shop.example/?gclid=g")


def test_without_an_opt_out_ids_are_kept() -> None:
    """The header is needed."""
    event = derived(BROWSER, OPEN_GRANT, **IDS)

    assert (event.visitor_id, event.user_id) == ("v-1", "u-1")
