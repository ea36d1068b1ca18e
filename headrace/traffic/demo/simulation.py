"""Simulates concurrent visitors, whose number varies over the day. Pure: time is simulated."""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from math import pi, sin
from random import Random
from typing import NamedTuple

from headrace.traffic.demo import shop
from headrace.traffic.demo.journey import Event, Journey, Step
from headrace.traffic.demo.visitor import Person, new_person, new_visit

#: The length of a simulated day: short, so that a chart of half an hour shows its pattern.
DAY_SECONDS = 720.0
#: The time of the first bad release, the interval of bad releases, and the time until a rollback.
BAD_RELEASE_AT = 75.0
BAD_RELEASE_EVERY = 600.0
BAD_RELEASE_SECONDS = 40.0

#: The probability that a page fails, usually and after a bad release.
_FAILURE_RATE = 0.012
_BAD_FAILURE_RATE = 0.6
#: A visitor counts as live during a visit of about 90 s, and for five minutes after it.
_LIVE_SECONDS = 390.0
#: The share of the visitors that arrive within the first seconds.
_INITIAL_PART = 0.2
_INITIAL_SECONDS = 12.0
#: The probability that a visitor is one of the last `_MAX_RETURNING` visitors.
_RETURNING_RATE = 0.25
_MAX_RETURNING = 500


class TimedEvent(NamedTuple):
    """An event, and its time in seconds since the start."""

    at: float
    event: Event


class Simulation:
    """About `visitors` visitors in any five minutes. The same seed yields the same events."""

    def __init__(self, visitors: int, site_id: str, seed: int | None = None) -> None:
        self._random = Random(seed)  # noqa: S311 - people, not secrets
        self._visitors = visitors
        self._site_id = site_id
        self._returning: deque[Person] = deque(maxlen=_MAX_RETURNING)
        #: A heap by time; the sequence number breaks ties.
        self._upcoming: list[tuple[float, int, Event, Iterator[Step]]] = []
        self._sequence = 0
        self._now = 0.0

    @property
    def active_visitors(self) -> int:
        """The number of visitors on the site."""
        return len(self._upcoming)

    def events(self) -> Iterator[TimedEvent]:
        """Yield an endless stream of events, ordered by time."""
        for _ in range(max(1, round(self._visitors * _INITIAL_PART))):
            self._arrive(self._random.uniform(0, _INITIAL_SECONDS))
        arrival = self._next_arrival(0.0)
        while True:
            if not self._upcoming or arrival <= self._upcoming[0][0]:
                self._arrive(arrival)
                arrival = self._next_arrival(arrival)
                continue
            at, _, event, steps = heappop(self._upcoming)
            self._now = at
            self._schedule_next(at, steps)
            yield TimedEvent(at, {"site_id": self._site_id, **event})

    def _next_arrival(self, at: float) -> float:
        """Return the time of the next arrival: a Poisson process whose rate varies over the day."""
        factor = 1 + 0.45 * sin(2 * pi * at / DAY_SECONDS)
        return at + self._random.expovariate(self._visitors * factor / _LIVE_SECONDS)

    def _arrive(self, at: float) -> None:
        if self._returning and self._random.random() < _RETURNING_RATE:
            person = self._random.choice(self._returning)
        else:
            person = new_person(self._random)
            self._returning.append(person)
        visit = new_visit(person, self._random)
        self._schedule_next(at, Journey(visit, self._random, self._failure).steps())

    def _schedule_next(self, at: float, steps: Iterator[Step]) -> None:
        step = next(steps, None)
        if step is not None:
            self._sequence += 1
            heappush(self._upcoming, (at + step.wait, self._sequence, step.event, steps))

    def _failure(self) -> shop.Failure | None:
        """Return the failure of a page view: rarely one, often after a bad release."""
        since = self._now - BAD_RELEASE_AT
        if since >= 0 and since % BAD_RELEASE_EVERY < BAD_RELEASE_SECONDS:
            return shop.BROKEN_RELEASE if self._random.random() < _BAD_FAILURE_RATE else None
        fails = self._random.random() < _FAILURE_RATE
        return self._random.choice(shop.FAILURES) if fails else None
