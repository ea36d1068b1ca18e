"""When a delivery is tried again: the schedule of Standard Webhooks, as pure functions."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_MINUTE = 60
_HOUR = 60 * _MINUTE

#: Seconds before each attempt, after the one before it failed.
DELAYS = (
    0,
    5,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
#: Up to this part more, so that those that failed together do not come back together.
JITTER = 0.1
#: A receiver may ask for more patience, but not for more than this.
_LONGEST_WAIT = 24 * _HOUR

GONE = 410
_THROTTLING = frozenset({429, 503})


class Outcome(NamedTuple):
    """How an attempt ended: the receiver's status, or the reason why there is none."""

    status: int | None
    error: str | None
    duration_ms: int
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        """2xx only."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's


def next_attempt(step: int, outcome: Outcome, now: datetime, chance: float) -> datetime | None:
    """Return when to try again after the failed attempt number `step` (0, 1, …); None: never.

    `chance` is a random number from 0 to 1.
    """
    if step + 1 >= len(DELAYS):
        return None
    seconds = DELAYS[step + 1] * (1 + JITTER * chance)
    if outcome.status in _THROTTLING:
        seconds = max(seconds, _asked_for(outcome.retry_after, now))
    return now + timedelta(seconds=seconds)


def _asked_for(retry_after: str | None, now: datetime) -> float:
    """Return the seconds that the header asks for: a number of them, or a date."""
    if not retry_after:
        return 0
    try:
        if retry_after.isascii() and retry_after.isdigit():
            seconds = float(retry_after[:9])
        else:
            until = parsedate_to_datetime(retry_after)
            seconds = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0
    return min(max(seconds, 0), _LONGEST_WAIT)
