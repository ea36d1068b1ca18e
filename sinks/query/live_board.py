"""The newest partial of each site and partition, for as long as it is renewed."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader

from schemas.codec import CodecError, decode
from schemas.live import STALLED_SECONDS
from schemas.records import LiveCounters
from sinks.query import live
from sinks.query.live import Live

_log = logging.getLogger(__name__)

#: A partial that was not renewed for so long tells of what is over, or of a worker that is.
EXPIRES_MS = 45_000
#: Of sites, and of bytes: a site that would be one too many is not kept, the others stay right.
MOST_SITES = 10_000
MOST_BYTES = 128 * 1024 * 1024

_SWEEP_MS = 5_000
_FRAME_BYTES = 5
# The first fields alone, so that of the many sites that nobody looks at no more is decoded.
_HEAD = parse_schema(
    {
        "type": "record",
        "name": "LiveCounters",
        "namespace": "headrace",
        "fields": [{"name": "site_id", "type": "string"}, {"name": "partition", "type": "int"}],
    }
)


@dataclass(slots=True)
class _Partial:
    at_ms: int
    message: bytes
    decoded: LiveCounters | None = None
    unreadable: bool = False


class Board:
    """Bounded in sites and bytes; `now_ms` is the clock that partials expire by."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._sites: dict[str, dict[int, _Partial]] = {}
        #: When each partition was last told of, whatever the site.
        self._heard: dict[int, int] = {}
        self._bytes = 0
        self._swept_ms = 0
        self.refused = 0

    @property
    def size(self) -> int:
        """How many sites are kept."""
        return len(self._sites)

    def put(self, message: bytes, at_ms: int) -> None:
        """Keep a partial that was written at `at_ms`; `CodecError` when it is not one."""
        head = _head(message)
        self._sweep()
        (site_id, partition) = (head["site_id"], head["partition"])
        heard_ms = min(at_ms, self._now_ms())  # of what was there at our start, then
        self._heard[partition] = max(heard_ms, self._heard.get(partition, 0))
        partials = self._sites.get(site_id)
        old = partials.get(partition) if partials else None
        growth = len(message) - (len(old.message) if old else 0)
        full = partials is None and len(self._sites) >= MOST_SITES
        if full or self._bytes + growth > MOST_BYTES:
            self.refused += 1
            return
        self._bytes += growth
        self._sites.setdefault(site_id, {})[partition] = _Partial(at_ms, message)

    def snapshot(self, site_id: str, *, latest: bool = False) -> Live:
        """Return what happens now at a site; with `latest` what the page has, beside api.md's."""
        now_ms = self._now_ms()
        partials = self._fresh(site_id, now_ms)
        told = live.merge(site_id, partials, now_ms)
        if latest:
            told["latest"] = live.latest(partials)
            told["stalled_since"] = self._stalled_since(partials, now_ms)
        return told

    def _stalled_since(self, partials: Iterable[LiveCounters], now_ms: int) -> str | None:
        """Return until when all of them were counted; None while they are.

        By our clock, by which people see how long ago that is. All zeros are told but once.
        """
        partitions = [partial.partition for partial in partials if partial.minutes]
        heard_ms = min((self._heard.get(one, now_ms) for one in partitions), default=now_ms)
        return live.iso(heard_ms) if now_ms - heard_ms >= STALLED_SECONDS * 1_000 else None

    def sites(self, most: int, after: str = "") -> list[str]:
        """Return sites where something happens, in order of their names, from behind `after`."""
        self._sweep()
        return sorted(name for name in self._sites if name > after)[:most]

    def _fresh(self, site_id: str, now_ms: int) -> list[LiveCounters]:
        partials = self._sites.get(site_id, {}).values()
        decoded = [_decoded(one) for one in partials if now_ms - one.at_ms < EXPIRES_MS]
        return [partial for partial in decoded if partial]

    def _sweep(self) -> None:
        """Forget what has expired, every few seconds."""
        now_ms = self._now_ms()
        if now_ms - self._swept_ms < _SWEEP_MS:
            return
        self._swept_ms = now_ms
        for site_id, partials in list(self._sites.items()):
            for partition, partial in list(partials.items()):
                if now_ms - partial.at_ms >= EXPIRES_MS:
                    del partials[partition]
                    self._bytes -= len(partial.message)
            if not partials:
                del self._sites[site_id]
        for partition, heard_ms in list(self._heard.items()):
            if now_ms - heard_ms >= EXPIRES_MS:
                del self._heard[partition]


def _head(message: bytes) -> dict[str, Any]:
    if len(message) < _FRAME_BYTES or message[0] != 0:
        raise CodecError("not the Confluent wire format")
    try:
        head: Any = schemaless_reader(BytesIO(message[_FRAME_BYTES:]), _HEAD, None)
    except Exception as error:  # fastavro raises whatever the bytes provoke
        raise CodecError(f"not the Avro of LiveCounters: {error!r}") from error
    return dict(head)


def _decoded(partial: _Partial) -> LiveCounters | None:
    """Return the record, read once; None, told once, for one that is not right."""
    if partial.decoded is None and not partial.unreadable:
        try:
            decoded = decode(partial.message, LiveCounters)
            live.merge("", [decoded], 0)  # its sketch can be read, too
            partial.decoded = decoded
        except ValueError as error:
            partial.unreadable = True
            _log.warning("A live counter cannot be read: %.200s", error)
    return partial.decoded
