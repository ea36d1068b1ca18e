"""Attributes of visits that the server derives from one event: traffic source, place and device.

Events of back ends usually have none, although a site key vouches for them. They must not replace
those of the visitor's browser: an event without an attribute makes no claim to it.
"""

from collections.abc import Iterable

from schemas.records import RawEvent, TrafficSource, VisitorClient
from streams.domain.sessions.claims import LOWEST, earlier


def traffic_source_of(known: TrafficSource | None, event: RawEvent) -> TrafficSource | None:
    """Return the winning traffic source of the previous events and this one.

    An event of a browser without a source claims that there is none. One that a site key vouches
    for does so only if there is no other claim, because back ends do not know the source.
    """
    if not (event.source or event.channel):
        return known
    is_unknown = not event.source and event.trust == "key"
    found = TrafficSource(
        source=event.source,
        channel=event.channel,
        ts=event.event_ts,
        event_id=event.event_id,
        trust=LOWEST if is_unknown else event.trust,
    )
    return earlier(known, found)


def client_of(known: VisitorClient | None, event: RawEvent) -> VisitorClient | None:
    """Return the winning client of the previous events and this one.

    An event that a site key vouches for, and that is of no known device, has the HTTP library of a
    back end instead of a browser: it makes a claim only if there is no other one.
    """
    if not (event.country or event.region or event.browser or event.os or event.device):
        return known
    is_unknown = event.device in (None, "other") and event.trust == "key"
    found = VisitorClient(
        country=event.country,
        region=event.region,
        browser=event.browser,
        os=event.os,
        device=event.device,
        ts=event.event_ts,
        event_id=event.event_id,
        trust=LOWEST if is_unknown else event.trust,
    )
    return earlier(known, found)


def values_of(attributes: TrafficSource | VisitorClient | None) -> Iterable[str | None]:
    """Return the values of attributes."""
    if attributes is None:
        return ()
    if isinstance(attributes, TrafficSource):
        return attributes.source, attributes.channel
    one = attributes
    return one.country, one.region, one.browser, one.os, one.device
