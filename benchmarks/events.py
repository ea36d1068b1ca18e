"""The events that benchmarks work on: visitors of the demo's shop, as a tracker sends them."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count, islice
from uuid import UUID

import msgspec

from infra.demo.crowd import Crowd, Happening
from producer_api.draft import Surroundings
from producer_api.parse import parse
from schemas import codec
from schemas.records import RawEvent

_BEGAN = datetime(2026, 4, 1, 12, tzinfo=UTC)
_VISITORS = 300


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
    around = Surroundings(lambda: ahead, lambda: next(ids))
    return [codec.decode(parse(body, around).value, RawEvent) for body in bodies(number)]
