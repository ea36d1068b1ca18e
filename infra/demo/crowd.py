"""Many visitors at once, who come and go with the hour; a model of time alone, pure."""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from math import pi, sin
from random import Random
from typing import NamedTuple

from infra.demo import shop
from infra.demo.journey import Event, Journey, Step
from infra.demo.person import Person, new_person, new_visit

#: A day of the shop, so that there is a rhythm to be seen within the half hour of a chart.
DAY_SECONDS = 720.0
#: A bad release comes so long after the start, then once in so long, and is taken back soon.
BAD_RELEASE_AT = 75.0
BAD_RELEASE_EVERY = 600.0
BAD_RELEASE_SECONDS = 40.0

_USUAL_FAILING = 0.012
_BAD_FAILING = 0.6
#: A visitor is counted as there from the first event until five minutes after the last, of a
#: visit of a minute and a half.
_COUNTED_SECONDS = 390.0
#: Of the visitors at any time, so many are there in the first seconds.
_FIRST_PART = 0.2
_FIRST_SECONDS = 12.0
_RETURNING = 0.25
_KNOWN = 500


class Happening(NamedTuple):
    """An event, and when it happens, in seconds from the start."""

    at: float
    event: Event


class Crowd:
    """About `visitors` people in any five minutes; the same seed makes the same crowd."""

    def __init__(self, visitors: int, site_id: str, seed: int | None = None) -> None:
        self._random = Random(seed)  # noqa: S311 - people, not secrets
        self._visitors = visitors
        self._site_id = site_id
        self._known: deque[Person] = deque(maxlen=_KNOWN)
        #: By time; the number tells apart what is at the same time.
        self._upcoming: list[tuple[float, int, Event, Iterator[Step]]] = []
        self._numbered = 0
        self._now = 0.0

    @property
    def present(self) -> int:
        """How many are on the site now."""
        return len(self._upcoming)

    def happenings(self) -> Iterator[Happening]:
        """Yield what happens, in the order of time, without end."""
        for _ in range(max(1, round(self._visitors * _FIRST_PART))):
            self._arrive(self._random.uniform(0, _FIRST_SECONDS))
        arrival = self._next_arrival(0.0)
        while True:
            if not self._upcoming or arrival <= self._upcoming[0][0]:
                self._arrive(arrival)
                arrival = self._next_arrival(arrival)
                continue
            at, _, event, steps = heappop(self._upcoming)
            self._now = at
            self._go_on(at, steps)
            yield Happening(at, {"site_id": self._site_id, **event})

    def _next_arrival(self, at: float) -> float:
        """Return when the next visitor comes: by chance, more often at the height of the day."""
        tide = 1 + 0.45 * sin(2 * pi * at / DAY_SECONDS)
        return at + self._random.expovariate(self._visitors * tide / _COUNTED_SECONDS)

    def _arrive(self, at: float) -> None:
        if self._known and self._random.random() < _RETURNING:
            person = self._random.choice(self._known)
        else:
            person = new_person(self._random)
            self._known.append(person)
        visit = new_visit(person, self._random)
        self._go_on(at, Journey(visit, self._random, self._failure).steps())

    def _go_on(self, at: float, steps: Iterator[Step]) -> None:
        step = next(steps, None)
        if step is not None:
            self._numbered += 1
            heappush(self._upcoming, (at + step.wait, self._numbered, step.event, steps))

    def _failure(self) -> shop.Failure | None:
        """Say what fails on a page: hardly ever anything, but after a bad release."""
        since = self._now - BAD_RELEASE_AT
        if since >= 0 and since % BAD_RELEASE_EVERY < BAD_RELEASE_SECONDS:
            return shop.BROKEN_RELEASE if self._random.random() < _BAD_FAILING else None
        fails = self._random.random() < _USUAL_FAILING
        return self._random.choice(shop.FAILURES) if fails else None
