"""The registered sites, from the topic `sites`."""

import logging
from collections.abc import Iterator

from producer_api.access.token_buckets import TokenBucket
from producer_api.events.client import Grant, SitePolicy
from schemas.codec import CodecError, decode
from schemas.origins import Origins
from schemas.records import Site, Trust
from schemas.site_keys import key_hash
from schemas.topics import SITES

_log = logging.getLogger(__name__)

#: The types that need a key by default, if the site has keys.
REQUIRED_BY_DEFAULT = ("payment",)


class SiteRules:
    """The rules of a registered site, prepared for decisions."""

    def __init__(self, site: Site) -> None:
        self.key_hashes = frozenset(key.hash for key in site.keys)
        self.origins = Origins(site.origins)
        required = site.require_key
        if required is None:
            required = [*REQUIRED_BY_DEFAULT] if site.keys else []
        self.requires_key = frozenset(required)
        self.events_per_second = site.events_per_second
        self.bucket = TokenBucket(site.events_per_second) if site.events_per_second else None
        policy = SitePolicy(site.derives_visitors, site.honours_opt_out, site.counts_bots)
        highest: Trust = "key" if site.keys else "origin" if site.origins else "open"
        trusts: tuple[Trust, ...] = ("key", "origin", "open")
        self.grants = {
            trust: Grant(trust, policy, namespaces_ids=trust != highest) for trust in trusts
        }


class Sites:
    """The rules by site id, updated from the topic `sites`. Reading them does no I/O.

    `is_loaded` is False until the topic was read to its end: after that, a missing site is not
    registered.
    """

    def __init__(self) -> None:
        self.is_loaded = True
        self._rules: dict[str, SiteRules] = {}
        self._site_of_hash: dict[str, str] = {}

    def get(self, site_id: str) -> SiteRules | None:
        """Return the rules of a site; None if it is not registered."""
        return self._rules.get(site_id)

    def site_of(self, key: str) -> str | None:
        """Return the id of the registered site that a site key belongs to; None for other keys."""
        return self._site_of_hash.get(key_hash(key))

    def __contains__(self, site_id: object) -> bool:
        return site_id in self._rules

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply a record of the topic; skip and log records that cannot be decoded."""
        try:
            site_id = (key or b"").decode()
            site = None if value is None else decode(value, Site)
        except (CodecError, UnicodeError) as error:
            _log.warning("skipping a record of %s: %r: %s", SITES.name, key, error)
            return
        before = self._rules.pop(site_id, None)
        for hash_ in before.key_hashes if before else ():
            self._site_of_hash.pop(hash_, None)
        if site is None:
            return
        rules = self._rules[site_id] = SiteRules(site)
        self._site_of_hash.update(dict.fromkeys(rules.key_hashes, site_id))
        if before is not None and before.events_per_second == rules.events_per_second:
            rules.bucket = before.bucket  # a change of another rule grants no second burst
