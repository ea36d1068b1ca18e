"""Referrers of visits, without the site's own hosts.

Own hosts are those in the `hostname` and `url` of events, without `www.` and port. Anybody may send
an event that names a host, so a host is own only for referrers whose events have at most the trust
of the event that names it. A visit has the hosts of vouched events as `key:shop.example` and
`origin:shop.example`; those of other events have no prefix.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache

from schemas.records import RawEvent, Stamped
from schemas.urls import host_of, location_of
from streams.domain.sessions.claims import order

#: Limit of own hosts per visit or session.
MAX_HOSTS = 8
#: The limit of DNS names; longer texts are not hosts.
MAX_HOST_CHARACTERS = 253
#: Spare referrers replace, in order, one that turns out to be an own host. Longer ones are not
#: kept, because a state must fit into a record.
MAX_SPARE = 4
MAX_SPARE_CHARACTERS = 512

_WEB = ("https://", "http://")

#: The prefixes of hosts that are own for a referrer of an event with this trust.
_PREFIXES = {"key": ("key:",), "origin": ("origin:", "key:")}
_ALL_PREFIXES = ("", "origin:", "key:")


def own_hosts(event: RawEvent) -> frozenset[str]:
    """Return the own hosts in an event, without `www.`."""
    return _hosts_of(event.hostname, _origin(event.url))


def named_hosts(event: RawEvent) -> frozenset[str]:
    """Return the own hosts in an event, as a visit has them: with the event's trust."""
    if event.trust not in _PREFIXES:
        return own_hosts(event)
    return _vouched_hosts(event.hostname, _origin(event.url), event.trust)


def referrer_host(event: RawEvent, own: Collection[str]) -> str | None:
    """Return the host of an event's referrer; None if there is none, or it is in `own`."""
    host = _host_at(_origin(event.referrer)) if event.referrer else None
    return None if host is None or is_own(host, own) else host


def is_own(host: str, own: Collection[str]) -> bool:
    """Return True if a host is in `own`, whose hosts have no `www.`."""
    return host.removeprefix("www.") in own


def is_external(referrer: str, own: Collection[str], trust: str = "open") -> bool:
    """Return True if a referrer is not a page of a site with the hosts `own`.

    `trust` is that of the event that states the referrer. A path without a host belongs to the site
    itself. Other text without a host is external.
    """
    host = _host_at(_origin(referrer))
    if host is None:
        return referrer.lstrip()[:1] not in {"/", "\\", "?", "#"}
    plain = host.removeprefix("www.")
    for prefix in _PREFIXES.get(trust, _ALL_PREFIXES):  # noqa: SIM110 - called for each event
        if prefix + plain in own:
            return False
    return True


def with_hosts(hosts: list[str], more: Collection[str]) -> list[str]:
    """Return `hosts` and `more`, sorted; beyond the limit the most trusted, then `hosts`."""
    found = [*hosts, *sorted({*more}.difference(hosts))]
    if len(found) > MAX_HOSTS:
        found = sorted(found, key=_prefix_rank)[:MAX_HOSTS]
    return sorted(found)


def external(candidates: Iterable[Stamped], own: Collection[str]) -> list[Stamped]:
    """Return the winning referrer of each external host, in their order (`claims`).

    The first one is the referrer, the others are its spares.
    """
    firsts: dict[str, Stamped] = {}
    for one in sorted(candidates, key=order):
        if is_external(one.value, own, one.trust):
            firsts.setdefault(_host_at(_origin(one.value)) or one.value, one)
    found = list(firsts.values())
    spare = [one for one in found[1:] if len(one.value) <= MAX_SPARE_CHARACTERS]
    return found[:1] + spare[:MAX_SPARE]


def _origin(url: str | None) -> str:
    """Return a URL without its path, as a cache key that all pages of a site share."""
    if not url or not url.startswith(_WEB):
        return url or ""
    end = url.find("/", len(_WEB[0]) + 1)
    return url if end < 0 else url[:end]


@lru_cache(maxsize=1024)
def _host_at(origin: str) -> str | None:
    return _within_dns(location_of(origin).host)


@lru_cache(maxsize=1024)
def _hosts_of(hostname: str | None, origin: str) -> frozenset[str]:
    named = _within_dns(host_of(hostname)) if hostname else None
    hosts = (named, _host_at(origin))
    return frozenset(host.removeprefix("www.") for host in hosts if host is not None)


@lru_cache(maxsize=1024)
def _vouched_hosts(hostname: str | None, origin: str, trust: str) -> frozenset[str]:
    return frozenset(f"{trust}:{host}" for host in _hosts_of(hostname, origin))


def _prefix_rank(host: str) -> int:
    """Return the sort key of hosts: the most trusted are the lowest."""
    return next((-n for n in (2, 1) if host.startswith(_ALL_PREFIXES[n])), 0)


def _within_dns(host: str | None) -> str | None:
    return None if host is None or len(host) > MAX_HOST_CHARACTERS else host
