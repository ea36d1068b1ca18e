"""The events that benchmarks work on: visitors of the demo's shop, as a tracker sends them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count, cycle, islice
from uuid import UUID

import msgspec
from msgspec.structs import replace

from infra.demo.crowd import Crowd, Happening
from producer_api.draft import EventContext
from producer_api.import_sites import ImportSites
from producer_api.parse import parse
from schemas import codec
from schemas.records import RawEvent

_BEGAN = datetime(2026, 4, 1, 12, tzinfo=UTC)
_VISITORS = 300
_DIFFERENT = 20_000


@cache
def happenings(number: int, sites: int = 4) -> list[Happening]:
    """Return what happens at some sites, in its order."""
    crowds = [Crowd(_VISITORS, f"shop-{site}", seed=site).happenings() for site in range(sites)]
    return list(islice((one for some in zip(*crowds, strict=True) for one in some), number))


@cache
def bodies(number: int) -> list[bytes]:
    """Return events as JSON, in the order in which they happened."""
    made = []
    for happening in happenings(number):
        at = _BEGAN + timedelta(seconds=happening.at)
        made.append(msgspec.json.encode({**happening.event, "timestamp": at.isoformat()}))
    return made


@cache
def events(number: int) -> list[RawEvent]:
    """Return them as the API reads them, a second after they happened."""
    ids = (str(UUID(int=(0x7 << 76) | n << 80)) for n in count(1))
    ahead = int((_BEGAN + timedelta(minutes=30)).timestamp() * 1e6)
    context = EventContext(lambda: ahead, lambda: next(ids), ImportSites((), lambda: ahead))
    return [codec.decode(parse(body, context).value, RawEvent) for body in bodies(number)]


def distinct(
    number: int, wanted: Callable[[RawEvent], bool] = lambda _: True
) -> Iterator[RawEvent]:
    """Yield events that are wanted, none twice: when all have left, visitors like them come."""
    some = events(_DIFFERENT)
    takes_us = some[-1].event_ts - some[0].event_ts
    chosen = [event for event in some if wanted(event)]
    for n, event in enumerate(islice(cycle(chosen), number)):
        again = n // len(chosen)
        yield replace(
            event,
            session_id=f"{event.session_id}-{again}",
            event_id=str(UUID(int=n, version=4)),
            event_ts=event.event_ts + again * takes_us,
            received_at=event.received_at + again * takes_us,
        )
