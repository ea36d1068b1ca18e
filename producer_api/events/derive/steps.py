"""The steps of derivation, in order.

A step reads the event, the client and the grant, and sets attributes of the event that it does not
carry, or of the derivation. The event is a `RawEvent`, or has its names of the fields of the API.

This module is also compiled, with the types of `steps.pxd`: that takes a third of the time.
"""

from collections.abc import Callable
from typing import Any

from producer_api.events.client import Client, Grant
from producer_api.events.derive.browsers import NO_BROWSER, Browser
from producer_api.events.derive.channels import DIRECT, NO_CAMPAIGN
from producer_api.events.derive.lookups import Lookups
from producer_api.events.derive.pages import NO_PAGE
from producer_api.events.derive.places import country_code
from producer_api.events.derive.sources import CLICK_SOURCES
from schemas.records import Trust

#: `RawEvent.excluded` of bots.
BOT = "bot"
_MAX_CHARACTERS = 512
#: The fields of `RawEvent` that clients cannot send, in its order.
DERIVED = (
    *("browser", "browser_version", "os", "device", "is_bot", "country", "region"),
    *("source", "channel", "trust", "excluded"),
)


class Derivation:
    """The derived fields of an event, which have the names in `DERIVED`, and what steps need."""

    def __init__(self, event: Any, client: Client, grant: Grant) -> None:
        self.browser: str | None = None
        self.browser_version: str | None = None
        self.os: str | None = None
        self.device: str | None = None
        self.is_bot = False
        self.country: str | None = None
        self.region: str | None = None
        self.source: str | None = None
        self.channel: str | None = None
        self.trust: Trust = grant.trust
        self.excluded: str | None = None
        self.event = event
        self.client = client
        self.grant = grant
        self.page = NO_PAGE
        #: The host of the referrer.
        self.referrer_host: str | None = None
        #: The browser in the header of the request.
        self.requester = NO_BROWSER
        #: The browser in `user_agent`, if that is the header.
        self.described: Browser | None = None
        #: The name of the click id that identifies a source.
        self.click: str | None = None
        self.opts_out = False


def read_page(d: Derivation, lookups: Lookups) -> None:
    """Mask e-mail addresses in `url`; set `hostname`, `path`, `utm` and `ad_click_ids` from it."""
    event = d.event
    if not (url := event.url):
        return
    page = d.page = lookups.page(url)
    if page.url != url:
        event.url = page.url
    if event.hostname is None:
        event.hostname = page.host
    if event.path is None:
        event.path = page.path
    if page.utm is not None and event.utm is None:
        event.utm = page.utm
    if page.click_ids is not None and event.ad_click_ids is None:
        event.ad_click_ids = page.click_ids


def read_referrer(d: Derivation, lookups: Lookups) -> None:
    """Mask e-mail addresses in `referrer`."""
    event = d.event
    if event.referrer:
        page = lookups.page(event.referrer)
        d.referrer_host = page.host
        event.referrer = page.anonymous_url if d.opts_out else page.url


def honour_opt_out(d: Derivation, _: Lookups) -> None:
    """Drop the ids of the visitor, the user and clicks if the client opts out."""
    event = d.event
    if (click_ids := event.ad_click_ids) is not None:
        d.click = next((name for name in CLICK_SOURCES if name in click_ids), None)
    d.opts_out = d.client.opts_out and d.grant.policy.honours_opt_out
    if d.opts_out:
        event.visitor_id = event.user_id = event.ad_click_ids = None
        if event.url:
            event.url = d.page.anonymous_url


def read_headers(d: Derivation, lookups: Lookups) -> None:
    """Set `user_agent` and `language` from the headers of the request."""
    (event, client) = (d.event, d.client)
    if client.language and event.language is None:
        # A header can have 64 KiB, and keys of caches stay in memory.
        event.language = lookups.language(client.language.partition(",")[0][:_MAX_CHARACTERS])
    if client.user_agent:
        user_agent = client.user_agent[:_MAX_CHARACTERS].replace("\0", "\ufffd")
        d.requester = lookups.browser(user_agent)
        if event.user_agent is None:
            event.user_agent = user_agent
            d.described = d.requester


def describe_browser(d: Derivation, lookups: Lookups) -> None:
    """Set browser, system and device from `user_agent`; exclude bots.

    The header of a request with a site key is that of the back end, which is no bot.
    """
    browser = d.described
    if browser is None:
        if not (user_agent := d.event.user_agent):
            return
        browser = lookups.browser(user_agent)
    d.browser = browser.name
    d.browser_version = browser.version
    d.os = browser.os
    d.device = browser.device
    if browser.is_bot and (d.described is None or d.grant.trust != "key"):
        d.is_bot = True
        d.excluded = None if d.grant.policy.counts_bots else BOT


def locate(d: Derivation, lookups: Lookups) -> None:
    """Set country and region from the address, or the country that a trusted proxy reports."""
    client = d.client
    if not (client.address or client.country) or _is_back_end(d):
        return
    place = lookups.place(client.address)
    d.country = place.country
    d.region = place.region
    if client.country and (country := country_code(client.country)) and country != d.country:
        (d.country, d.region) = (country, None)


def attribute(d: Derivation, lookups: Lookups) -> None:
    """Set source and channel; without referrer, campaign and click id the visitor is direct."""
    event = d.event
    utm = event.utm
    if utm is None and d.click is None and d.referrer_host is None:
        d.channel = DIRECT
        return
    site = None
    if d.referrer_host is not None:
        name = event.hostname
        site = lookups.host(name) if name and name != d.page.host else d.page.host
    campaign = NO_CAMPAIGN if utm is None else (utm.source, utm.medium, utm.campaign)
    found = lookups.attribution(campaign, d.click, d.referrer_host, site)
    d.source = found.source
    d.channel = found.channel


def identify_visitor(d: Derivation, lookups: Lookups) -> None:
    """Set `visitor_id`, unless the site or the visitor does not want it."""
    (event, client) = (d.event, d.client)
    if (
        event.visitor_id is None
        and client.address
        and event.user_agent
        and d.grant.policy.derives_visitors
        and not d.opts_out
        and (client.is_reported or not d.requester.is_library)
    ):
        event.visitor_id = lookups.visitor_of(
            event.site_id, event.session_id, client.address, event.user_agent
        )


def _is_back_end(d: Derivation) -> bool:
    """Return True if the address is not a visitor's, but that of a back end."""
    if d.client.is_reported:
        return False
    return not d.client.user_agent or (d.grant.trust == "key" and d.requester.is_library)


#: Changes an event and what is derived from it.
Step = Callable[[Derivation, Lookups], None]

STEPS: tuple[Step, ...] = (
    read_page,
    honour_opt_out,
    read_referrer,
    read_headers,
    describe_browser,
    locate,
    attribute,
    identify_visitor,
)


def derive(lookups: Lookups, event: Any, client: Client, grant: Grant) -> Derivation:
    """Fill the event's fields, and return those that it has no attributes for. Never raises."""
    derivation = Derivation(event, client, grant)
    for step in STEPS:
        step(derivation, lookups)
    return derivation


#: Derives nothing: of dry runs and tests, whose events have no client.
keep_trust = Derivation
