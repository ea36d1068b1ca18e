"""What was sent and what was answered: the book that the database is compared with."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import StrEnum

from tests.faults.traffic import Event, Sent

#: Of two processes that read one clock: a server rounds down.
_CLOCK_SECONDS = 0.01


class Outcome(StrEnum):
    """What a client knows of an event that it has sent."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Ledger:
    """Every event that was sent, with the outcome of each time.

    An event is acknowledged when one of its requests was; refused, when nothing else was ever
    said of it; else nobody knows, and it may be there or not. `clock` is that of the servers.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.bodies: dict[str, Event] = {}
        #: Each body that an event was sent with: `bodies` has the one that must be in SQL.
        self.sent: defaultdict[str, list[Event]] = defaultdict(list)
        self._began = clock()
        self._under_way: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._outcomes: defaultdict[str, set[Outcome]] = defaultdict(set)
        #: Events that must be refused and were taken, or the other way round.
        self.misjudged: list[Event] = []

    def note(self, sent: Sent, outcome: Outcome, began: float | None = None) -> None:
        """Write one outcome down, now; one request of an event has one.

        `began` is when the request was sent, seconds since 1970; else some time since the ledger
        was made.
        """
        # One that is sent again is stored as it was first acknowledged.
        if Outcome.ACKNOWLEDGED not in self._outcomes[sent.event_id]:
            self.bodies[sent.event_id] = sent.body
        if sent.body not in self.sent[sent.event_id]:
            self.sent[sent.event_id].append(sent.body)
        period = (self._began if began is None else began, self._clock())
        self._under_way[sent.event_id].append(period)
        self._outcomes[sent.event_id].add(outcome)
        wrong = Outcome.REFUSED if sent.is_valid else Outcome.ACKNOWLEDGED
        if outcome is wrong:
            self.misjudged.append(sent.body)

    def note_all(self, events: Iterable[Sent], outcome: Outcome) -> None:
        """Write the same outcome down for several."""
        for sent in events:
            self.note(sent, outcome)

    def was_under_way(self, event_id: str, at: int, clock_error_seconds: float = 0.0) -> bool:
        """Return whether a request with an event was under way at a time (us) of a server."""
        error = clock_error_seconds + _CLOCK_SECONDS
        return any(
            began - error <= at / 1_000_000 <= ended + error
            for began, ended in self._under_way[event_id]
        )

    @property
    def acknowledged(self) -> set[str]:
        """Ids of events that must be in the database."""
        return self._with(lambda seen: Outcome.ACKNOWLEDGED in seen)

    @property
    def refused(self) -> set[str]:
        """Ids of events that may not be in the database."""
        return self._with(lambda seen: seen == {Outcome.REFUSED})

    @property
    def unknown(self) -> set[str]:
        """Ids of events that may be in the database, once."""
        return set(self.bodies) - self.acknowledged - self.refused

    def _with(self, is_so: Callable[[set[Outcome]], bool]) -> set[str]:
        return {event_id for event_id, seen in list(self._outcomes.items()) if is_so(seen)}
