"""The steps of derivation, in order.

A step reads the event, the client and the grant, and sets attributes of the event that it does not
carry, or of `Derived`. The event is a `RawEvent`, or has its names of the fields of the API.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from producer_api.events.client import Client, Grant
from producer_api.events.derive.browsers import NO_BROWSER, Browser
from producer_api.events.derive.channels import Trail
from producer_api.events.derive.lookups import Lookups
from producer_api.events.derive.pages import NO_PAGE, Page
from producer_api.events.derive.places import country_code
from producer_api.events.derive.sources import CLICK_SOURCES
from schemas.records import Trust

#: `RawEvent.excluded` of bots.
BOT = "bot"
_MAX_CHARACTERS = 512


class Derived(msgspec.Struct, gc=False):
    """The fields of `RawEvent` that clients cannot send, in its order."""

    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    device: str | None = None
    is_bot: bool = False
    country: str | None = None
    region: str | None = None
    source: str | None = None
    channel: str | None = None
    trust: Trust = "open"
    excluded: str | None = None


class Derivation(Derived, gc=False, kw_only=True):
    """The derived fields of an event, and what the steps need."""

    event: Any
    client: Client
    grant: Grant
    lookups: Lookups
    page: Page = NO_PAGE
    #: The host of the referrer.
    referrer_host: str | None = None
    #: The browser in the header of the request.
    requester: Browser = NO_BROWSER
    #: The browser in `user_agent`, if that is the header.
    described: Browser | None = None
    #: The name of the click id that identifies a source.
    click: str | None = None
    opts_out: bool = False


def read_page(d: Derivation) -> None:
    """Mask e-mail addresses in `url`; set `hostname`, `path`, `utm` and `ad_click_ids` from it."""
    event = d.event
    if not event.url:
        return
    page = d.page = d.lookups.page(event.url)
    event.url = page.url
    if event.hostname is None:
        event.hostname = page.host
    if event.path is None:
        event.path = page.path
    if event.utm is None:
        event.utm = page.utm
    if event.ad_click_ids is None:
        event.ad_click_ids = page.click_ids


def read_referrer(d: Derivation) -> None:
    """Mask e-mail addresses in `referrer`."""
    event = d.event
    if event.referrer:
        page = d.lookups.page(event.referrer)
        d.referrer_host = page.host
        event.referrer = page.anonymous_url if d.opts_out else page.url


def honour_opt_out(d: Derivation) -> None:
    """Drop the ids of the visitor, the user and clicks if the client opts out."""
    event = d.event
    if event.ad_click_ids is not None:
        d.click = next((name for name in CLICK_SOURCES if name in event.ad_click_ids), None)
    d.opts_out = d.client.opts_out and d.grant.policy.honours_opt_out
    if d.opts_out:
        event.visitor_id = event.user_id = event.ad_click_ids = None
        if event.url:
            event.url = d.page.anonymous_url


def read_headers(d: Derivation) -> None:
    """Set `user_agent` and `language` from the headers of the request."""
    (event, client) = (d.event, d.client)
    if client.language and event.language is None:
        # A header can have 64 KiB, and keys of caches stay in memory.
        event.language = d.lookups.language(client.language.partition(",")[0][:_MAX_CHARACTERS])
    if client.user_agent:
        user_agent = client.user_agent[:_MAX_CHARACTERS].replace("\0", "\ufffd")
        d.requester = d.lookups.browser(user_agent)
        if event.user_agent is None:
            event.user_agent = user_agent
            d.described = d.requester


def describe_browser(d: Derivation) -> None:
    """Set browser, system and device from `user_agent`; exclude bots."""
    if not d.event.user_agent:
        return
    browser = d.described or d.lookups.browser(d.event.user_agent)
    d.browser = browser.name
    d.browser_version = browser.version
    d.os = browser.os
    d.device = browser.device
    if browser.is_bot:
        d.is_bot = True
        d.excluded = None if d.grant.policy.counts_bots else BOT


def locate(d: Derivation) -> None:
    """Set country and region from the address, or the country that a trusted proxy reports."""
    client = d.client
    if not (client.address or client.country) or _is_back_end(d):
        return
    place = d.lookups.place(client.address)
    country = country_code(client.country) if client.country else None
    d.country = country or place.country
    if d.country == place.country:
        d.region = place.region


def attribute(d: Derivation) -> None:
    """Set source and channel."""
    event = d.event
    site = None
    if d.referrer_host is not None:
        name = event.hostname
        site = d.lookups.host(name) if name and name != d.page.host else d.page.host
    utm = event.utm
    if utm is None:
        trail = Trail(None, None, None, d.click, d.referrer_host, site)
    else:
        trail = Trail(utm.source, utm.medium, utm.campaign, d.click, d.referrer_host, site)
    found = d.lookups.attribution(trail)
    d.source = found.source
    d.channel = found.channel


def identify_visitor(d: Derivation) -> None:
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
        event.visitor_id = d.lookups.visitor_of(
            event.site_id, event.session_id, client.address, event.user_agent
        )


def _is_back_end(d: Derivation) -> bool:
    """Return True if the address is not a visitor's, but that of a back end."""
    if d.client.is_reported:
        return False
    return not d.client.user_agent or (d.grant.trust == "key" and d.requester.is_library)


#: Changes an event and what is derived from it.
Step = Callable[[Derivation], None]

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


def derive(event: Any, client: Client, grant: Grant, lookups: Lookups) -> Derived:
    """Fill the event's fields, and return those that it has no attributes for. Never raises."""
    derivation = Derivation(
        event=event, client=client, grant=grant, lookups=lookups, trust=grant.trust
    )
    for step in STEPS:
        step(derivation)
    return derivation


def keep_trust(_event: Any, _client: Client, grant: Grant) -> Derived:
    """Derive nothing: of dry runs and tests, whose events have no client."""
    return Derived(trust=grant.trust)
