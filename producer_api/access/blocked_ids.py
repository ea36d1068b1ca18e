"""Erased visitors and users whose later events are rejected, from the topic `blocked-ids`."""

import logging
from collections import defaultdict

from producer_api.events.rejection import Rejected
from schemas.blocked_ids import hash_of
from schemas.codec import CodecError, decode
from schemas.records import BlockedId
from schemas.reject_reasons import RejectReason
from schemas.topics import BLOCKED_IDS

_log = logging.getLogger(__name__)


class BlockedIds:
    """The hashes of blocked ids by site. Only sites with blocked ids cost a hash per event."""

    def __init__(self) -> None:
        self._hashes: defaultdict[str, set[str]] = defaultdict(set)

    def check(self, site_id: str, visitor_id: str | None, user_id: str | None) -> None:
        """Raise `Rejected` if an id of the event is blocked."""
        hashes = self._hashes.get(site_id) if self._hashes else None
        if hashes is None:
            return
        for kind, value in (("visitor", visitor_id), ("user", user_id)):
            if value and hash_of(site_id, kind, value) in hashes:
                raise Rejected(RejectReason.ERASED, f"{kind}_id")

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply a record of the topic; skip and log records that cannot be decoded."""
        try:
            site_id, _, hashed = (key or b"").decode().partition(":")
            if value is not None:
                decode(value, BlockedId)
        except (CodecError, UnicodeError) as error:
            _log.warning("skipping a record of %s: %r: %s", BLOCKED_IDS.name, key, error)
            return
        if value is not None:
            self._hashes[site_id].add(hashed)
        elif hashes := self._hashes.get(site_id):
            hashes.discard(hashed)
            if not hashes:
                del self._hashes[site_id]
