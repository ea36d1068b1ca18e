"""The ledger of sent events and their outcomes, which the database is compared with."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import StrEnum

from tests.faults.traffic import Event, Sent

#: The tolerance between processes that read the same clock.
_CLOCK_SECONDS = 0.01


class Outcome(StrEnum):
    """The outcome of a request from the client's view."""

    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Ledger:
    """All events that were sent, with the outcomes of their requests.

    An event is acknowledged if one of its requests was, and rejected if all of them were; otherwise
    its outcome is unknown, and it may be stored or not. `clock` is that of the servers.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.bodies: dict[str, Event] = {}
        #: All bodies that an event was sent with; `bodies` has the one that must be in SQL.
        self.sent: defaultdict[str, list[Event]] = defaultdict(list)
        self._created_at = clock()
        self._in_flight: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._outcomes: defaultdict[str, set[Outcome]] = defaultdict(set)
        #: Invalid events that were accepted, and valid ones that were rejected.
        self.misjudged: list[Event] = []

    def record(self, sent: Sent, outcome: Outcome, sent_at: float | None = None) -> None:
        """Record the outcome of one request with an event.

        `sent_at` is when the request was sent, in seconds since the epoch; by default, when the
        ledger was created.
        """
        # The body of the first acknowledged request is the one that is stored.
        if Outcome.ACKNOWLEDGED not in self._outcomes[sent.event_id]:
            self.bodies[sent.event_id] = sent.body
        if sent.body not in self.sent[sent.event_id]:
            self.sent[sent.event_id].append(sent.body)
        period = (self._created_at if sent_at is None else sent_at, self._clock())
        self._in_flight[sent.event_id].append(period)
        self._outcomes[sent.event_id].add(outcome)
        wrong = Outcome.REJECTED if sent.is_valid else Outcome.ACKNOWLEDGED
        if outcome is wrong:
            self.misjudged.append(sent.body)

    def record_all(self, events: Iterable[Sent], outcome: Outcome) -> None:
        """Record the same outcome for several events."""
        for sent in events:
            self.record(sent, outcome)

    def was_in_flight(self, event_id: str, at: int, clock_error_seconds: float = 0.0) -> bool:
        """Return True if a request with an event was in flight at a server's time (us)."""
        error = clock_error_seconds + _CLOCK_SECONDS
        return any(
            start - error <= at / 1_000_000 <= end + error
            for start, end in self._in_flight[event_id]
        )

    @property
    def acknowledged(self) -> set[str]:
        """The ids of events that must be in the database."""
        return self._with(lambda outcomes: Outcome.ACKNOWLEDGED in outcomes)

    @property
    def rejected(self) -> set[str]:
        """The ids of events that must not be in the database."""
        return self._with(lambda outcomes: outcomes == {Outcome.REJECTED})

    @property
    def unknown(self) -> set[str]:
        """The ids of events that may be in the database, once."""
        return set(self.bodies) - self.acknowledged - self.rejected

    def _with(self, matches: Callable[[set[Outcome]], bool]) -> set[str]:
        return {
            event_id for event_id, outcomes in list(self._outcomes.items()) if matches(outcomes)
        }
