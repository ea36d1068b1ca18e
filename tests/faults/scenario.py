"""One scenario: a stack under load, what befalls it, and the comparison at the end."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.e2e.stack import Stack
from tests.faults.checks import Rules, check_exact
from tests.faults.kafka_log import KafkaLog
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.quiescence import close_all_visits, quiesce

#: Visits end within seconds, so that closing, late joins and merging are in every run.
SHORT_VISITS = {
    "HEADRACE_SESSION__GAP_SECONDS": "6",
    "HEADRACE_SESSION__LATENESS_SECONDS": "2",
    "HEADRACE_STREAMS__TICK_SECONDS": "1",
}
SHORT = Rules(gap_seconds=6, all_closed=True)

Note = Callable[[Stack, KafkaLog, list[float]], None]


class Scenario:
    """A stack with short visits, and the load on it."""

    def __init__(self, stack: Stack, seed: int, note: Note) -> None:
        self.stack = stack
        self.seed = seed
        #: Seconds from a fault to a result of an event that was sent after it.
        self.recoveries: list[float] = []
        self._note = note
        self._load: Load | None = None

    @contextmanager
    def load(self, ledger: Ledger | None = None) -> Iterator[Load]:
        """Send events while the block lasts, and a while before and after it.

        `ledger` is that of what was sent before.
        """
        with Load(self.stack, self.seed, ledger=ledger) as load:
            self._load = load
            load.more(300)
            yield load
            load.more(300)

    def recover(self, within_seconds: float = 120) -> None:
        """Measure how long it takes until an event that is sent now has become a session."""
        assert self._load is not None
        self.recoveries.append(self._load.probe(within_seconds))

    def check(
        self, *, clock_error_seconds: float = 0.0, is_log_time_right: bool = True
    ) -> KafkaLog:
        """Wait until all is at rest, hold the database against ledger and log, note the figures.

        `clock_error_seconds` is by how much the clock of an API server was wrong;
        `is_log_time_right` is false if that of the broker was.
        """
        assert self._load is not None
        quiesce(self.stack)
        # What a wrong clock led is closed when the right one has passed it: 5 minutes at most.
        close_all_visits(self.stack, 120 if is_log_time_right else 480)
        log = check_exact(
            self.stack,
            SHORT._replace(
                clock_error_seconds=clock_error_seconds, is_log_time_right=is_log_time_right
            ),
            self._load.ledger,
        )
        self._note(self.stack, log, self.recoveries)
        return log


def hold(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)


def why_not_ready(stack: Stack) -> str:
    """Return what /readyz complains of; empty when it does not."""
    try:
        with urllib.request.urlopen(f"{stack.url}/readyz", timeout=10):  # noqa: S310 - ours
            return ""
    except urllib.error.HTTPError as error:
        return str(json.load(error)["error"])


#: Starts a stack, with more settings.
MakeScenario = Callable[[Mapping[str, str]], Scenario]
