"""Decides who may send an event. A decision does no I/O."""

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

from producer_api.access.addresses import address_key, is_public
from producer_api.access.blocked_ids import BlockedIds
from producer_api.access.sites import SiteRules, Sites
from producer_api.access.token_buckets import TokenBuckets
from producer_api.events.client import OPEN_GRANT, Client, Grant
from producer_api.events.rejection import Rejected
from schemas.records import Trust
from schemas.reject_reasons import RejectReason
from schemas.settings import ApiSettings
from schemas.site_keys import key_hash
from schemas.urls import location_of

#: The limit of a globally routable address, in events per second.
PUBLIC_PER_ADDRESS = 50
#: Client addresses whose token bucket is kept, of about 200 bytes each.
MAX_BUCKETS = 16_384
#: Client addresses whose key is remembered.
_MAX_CACHED = 4096


class AccessControl:
    """The access rules of one `api` process; each process enforces its own share of the limits.

    `failure` returns why events cannot be sent to Kafka: the reason of a rejection before the
    sites are loaded. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        settings: ApiSettings,
        sites: Sites,
        failure: Callable[[], RejectReason],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sites = sites
        self.blocked_ids = BlockedIds()
        #: Rejections of registered sites, by site and code.
        self.rejections: Counter[tuple[str, str]] = Counter()
        self._accepts_any_site = settings.sites == "open"
        self._failure = failure
        self._clock = clock
        per_address = settings.max_events_per_second_per_address
        self._limits_private = bool(per_address)
        self.clients = TokenBuckets(per_address or PUBLIC_PER_ADDRESS, MAX_BUCKETS)
        self._key_of = lru_cache(_MAX_CACHED)(self._limited_key)

    def authorize(self, site_id: str, event_type: str, url: str | None, client: Client) -> Grant:
        """Return the grant for an event, which is counted against the limits; raises `Rejected`."""
        if not self.sites.is_loaded:
            raise Rejected(self._failure())
        rules = self.sites.get(site_id)
        if rules is None:
            return self._authorize_unregistered(site_id, client)
        try:
            trust = _trust_of(rules, site_id, url, client)
            if trust != "key":
                _check_type(rules, site_id, event_type)
                self._limit_client(client)
            if rules.bucket is not None:
                borrows = site_id in client.admitted_sites
                _check_wait(rules.bucket.take(self._clock(), borrows=borrows))
        except Rejected as rejected:
            self.rejections[site_id, rejected.reason.code] += 1
            raise
        return rules.grants[trust]

    def _authorize_unregistered(self, site_id: str, client: Client) -> Grant:
        if not self._accepts_any_site:
            raise Rejected(RejectReason.UNKNOWN_SITE, "site_id", site_id=site_id)
        if client.key:
            raise Rejected(RejectReason.BAD_KEY, site_id=site_id)
        self._limit_client(client)
        return OPEN_GRANT

    def _limit_client(self, client: Client) -> None:
        if key := self._key_of(client.address):
            _check_wait(self.clients.take(key, self._clock(), borrows=client.is_admitted))

    def _limited_key(self, address: str) -> str:
        """Return the key that the limit counts by; empty if the address has no limit.

        A private address may be a proxy, which many clients share.
        """
        key = address_key(address)
        return key if self._limits_private or is_public(key) else ""


def _trust_of(rules: SiteRules, site_id: str, url: str | None, client: Client) -> Trust:
    """Return who vouches for an event of a registered site; raises `Rejected`.

    A URL is checked if there is no header `Origin`, but vouches for nothing: browsers send the
    header with each event.
    """
    if client.key:
        if key_hash(client.key) in rules.key_hashes:
            return "key"
        raise Rejected(RejectReason.BAD_KEY, site_id=site_id)
    if not rules.origins:
        return "open"
    if client.origin:
        if rules.origins.allows(client.origin):
            return "origin"
    elif not url or (host := location_of(url).host) is None or rules.origins.allows_host(host):
        return "open"
    raise Rejected(RejectReason.ORIGIN_NOT_ALLOWED, site_id=site_id)


def _check_type(rules: SiteRules, site_id: str, event_type: str) -> None:
    if event_type in rules.requires_key:
        raise Rejected(RejectReason.KEY_REQUIRED, "type", site_id=site_id, type=event_type)


def _check_wait(seconds: float) -> None:
    if seconds:
        raise Rejected(RejectReason.RATE_LIMITED, retry_after=math.ceil(seconds))
