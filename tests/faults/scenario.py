"""A fault scenario: a stack under load, faults, and a comparison at the end."""

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

#: Visits close within seconds, so that every run includes closing, late events and merges.
SHORT_VISITS = {
    "HEADRACE_SESSION__GAP_SECONDS": "6",
    "HEADRACE_SESSION__LATENESS_SECONDS": "2",
    "HEADRACE_STREAMS__TICK_SECONDS": "1",
}
SHORT = Rules(gap_seconds=6, all_closed=True)

Report = Callable[[Stack, KafkaLog, list[float]], None]


class Scenario:
    """A stack with short visits, under load."""

    def __init__(self, stack: Stack, seed: int, report: Report) -> None:
        self.stack = stack
        self.seed = seed
        #: Seconds from a fault to a result of an event that was sent after it.
        self.recoveries: list[float] = []
        self._report = report
        self._load: Load | None = None

    @contextmanager
    def load(self, ledger: Ledger | None = None) -> Iterator[Load]:
        """Send events before, during and after the block.

        `ledger` has the events that were sent earlier.
        """
        with Load(self.stack, self.seed, ledger=ledger) as load:
            self._load = load
            load.more(300)
            yield load
            load.more(300)

    def recover(self, within_seconds: float = 120) -> None:
        """Measure the time until a new event is stored in its session."""
        assert self._load is not None
        self.recoveries.append(self._load.probe(within_seconds))

    def check(
        self, *, clock_error_seconds: float = 0.0, is_log_time_right: bool = True
    ) -> KafkaLog:
        """Wait until all is processed, compare the database with ledger and log, and report.

        `clock_error_seconds` is the error of an API server's clock;
        `is_log_time_right` is false if that of the broker was.
        """
        assert self._load is not None
        quiesce(self.stack)
        # Visits from a clock that was ahead close up to 5 minutes later.
        close_all_visits(self.stack, 120 if is_log_time_right else 480)
        log = check_exact(
            self.stack,
            SHORT._replace(
                clock_error_seconds=clock_error_seconds, is_log_time_right=is_log_time_right
            ),
            self._load.ledger,
        )
        self._report(self.stack, log, self.recoveries)
        return log


def sleep(seconds: float) -> None:
    """Wait while a fault lasts."""
    threading.Event().wait(seconds)


def why_not_ready(stack: Stack) -> str:
    """Return the error of /readyz; empty if it is ready."""
    try:
        with urllib.request.urlopen(f"{stack.url}/readyz", timeout=10):  # noqa: S310 - ours
            return ""
    except urllib.error.HTTPError as error:
        return str(json.load(error)["error"])


#: Starts a stack with additional settings.
MakeScenario = Callable[[Mapping[str, str]], Scenario]
