"""What was sent and what was answered: the book that the database is compared with."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import StrEnum

from tests.faults.traffic import Event, Sent


class Outcome(StrEnum):
    """What a client knows of an event that it has sent."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Ledger:
    """Every event that was sent, with the outcome of each time.

    An event is acknowledged when one of its requests was; refused, when nothing else was ever
    said of it; else nobody knows, and it may be there or not.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, Event] = {}
        self._outcomes: defaultdict[str, set[Outcome]] = defaultdict(set)
        #: Events that must be refused and were taken, or the other way round.
        self.misjudged: list[Event] = []

    def note(self, sent: Sent, outcome: Outcome) -> None:
        """Write one outcome down; one request of an event has one."""
        self.bodies[sent.event_id] = sent.body
        self._outcomes[sent.event_id].add(outcome)
        wrong = Outcome.REFUSED if sent.is_valid else Outcome.ACKNOWLEDGED
        if outcome is wrong:
            self.misjudged.append(sent.body)

    def note_all(self, events: Iterable[Sent], outcome: Outcome) -> None:
        """Write the same outcome down for several."""
        for sent in events:
            self.note(sent, outcome)

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
