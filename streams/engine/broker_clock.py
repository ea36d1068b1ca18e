"""The deviation of the brokers' clocks from the worker's clock (docs/adr/0041)."""

import logging
import time
from collections.abc import Callable

from schemas.clock_tolerance import CLOCK_PROBLEM, LEAD_MS

log = logging.getLogger(__name__)

#: The age at which a measurement expires.
_EXPIRY_SECONDS = 120.0
_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))


class BrokerClock:
    """Compares the log append time of batches with the times at which they were sent and acked.

    `clock` returns the worker's time in seconds. Deviations up to 5 minutes are not reported.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        #: By topic and partition: the deviation (s), and when it was measured.
        self._measured: dict[tuple[str, int], tuple[float, float]] = {}
        self._was_reported = False

    def record(self, tp: tuple[str, int], log_ms: int, sent_at: float) -> None:
        """Record the log append time of a batch that was sent at `sent_at` and acknowledged now."""
        now, at = self.now(), log_ms / 1_000
        deviation = at - now if at > now else min(0.0, at - sent_at)
        self._measured[tp] = (deviation, now)
        reason = self.problem()
        if (reason is not None) != self._was_reported:
            self._was_reported = reason is not None
            if reason is None:
                log.info("the clocks of Kafka and of this worker agree again")
            else:
                log.warning(reason)

    @property
    def deviation_seconds(self) -> float:
        """The largest deviation of a broker, negative when its clock is behind; 0.0 if unknown."""
        now = self.now()
        recent = (one for one, at in self._measured.values() if abs(now - at) <= _EXPIRY_SECONDS)
        return max(recent, key=abs, default=0.0)

    def problem(self) -> str | None:
        """Return the deviation and its effect as a sentence; None if it is small."""
        deviation = self.deviation_seconds
        if abs(deviation) * 1_000 <= LEAD_MS:
            return None
        where = "ahead of" if deviation > 0 else "behind"
        return (
            f"{CLOCK_PROBLEM} {_format_duration(abs(deviation))} {where} this worker's: correct "
            "the one that is wrong (NTP); until then, stream time stays within 5 minutes of the "
            "other clocks"
        )


def _format_duration(seconds: float) -> str:
    size, name = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {name}"
