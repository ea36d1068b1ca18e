"""The events of the benchmarks: those of the demo, as a tracker sends them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count, cycle, islice
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from headrace.traffic.demo.simulation import Simulation, TimedEvent
from producer_api.events.draft import EventContext
from producer_api.events.import_sites import ImportSites
from producer_api.events.parse import parse
from schemas import codec
from schemas.records import RawEvent

_START = datetime(2026, 4, 1, 12, tzinfo=UTC)
_VISITORS = 300
_DISTINCT = 20_000


@cache
def timed_events(number: int, sites: int = 4) -> list[TimedEvent]:
    """Return the first `number` events at some sites, in order."""
    simulations = [
        Simulation(_VISITORS, f"shop-{site}", seed=site).events() for site in range(sites)
    ]
    interleaved = (event for group in zip(*simulations, strict=True) for event in group)
    return list(islice(interleaved, number))


def numbered_event(number: int) -> dict[str, Any]:
    """Return event `number` with a unique id; repetitions have new sessions and visitors."""
    event = timed_events(_DISTINCT)[number % _DISTINCT].event
    names = {key: f"{event[key]}-{number // _DISTINCT}" for key in ("session_id", "visitor_id")}
    return {**event, **names, "event_id": str(UUID(int=number * 0x9E3779B97F4A7C15, version=4))}


@cache
def bodies(number: int) -> list[bytes]:
    """Return events as JSON, in order."""
    encoded = []
    for timed in timed_events(number):
        at = _START + timedelta(seconds=timed.at)
        encoded.append(msgspec.json.encode({**timed.event, "timestamp": at.isoformat()}))
    return encoded


@cache
def events(number: int) -> list[RawEvent]:
    """Return the events of `bodies` as parsed by the API, all received at the same time."""
    ids = (str(UUID(int=(0x7 << 76) | n << 80)) for n in count(1))
    now = int((_START + timedelta(minutes=30)).timestamp() * 1e6)
    context = EventContext(lambda: now, lambda: next(ids), ImportSites((), lambda: now))
    return [codec.decode(parse(body, context).value, RawEvent) for body in bodies(number)]


def distinct(
    number: int, wanted: Callable[[RawEvent], bool] = lambda _: True
) -> Iterator[RawEvent]:
    """Yield `number` distinct events that are `wanted`, with new sessions in each repetition."""
    sample = events(_DISTINCT)
    duration_us = sample[-1].event_ts - sample[0].event_ts
    chosen = [event for event in sample if wanted(event)]
    for n, event in enumerate(islice(cycle(chosen), number)):
        repetition = n // len(chosen)
        yield replace(
            event,
            session_id=f"{event.session_id}-{repetition}",
            event_id=str(UUID(int=n, version=4)),
            event_ts=event.event_ts + repetition * duration_us,
            received_at=event.received_at + repetition * duration_us,
        )
