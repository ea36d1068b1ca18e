"""The retry schedule of deliveries, as recommended by Standard Webhooks. Pure."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_MINUTE = 60
_HOUR = 60 * _MINUTE

#: Seconds from the previous failure to each attempt.
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
#: Delays are extended by up to this fraction, so that retries spread out.
JITTER = 0.1
#: The upper limit of `Retry-After`, in seconds.
_MAX_RETRY_AFTER = 24 * _HOUR

GONE = 410
_THROTTLING = frozenset({429, 503})


class Outcome(NamedTuple):
    """The result of an attempt: the HTTP status, or an error if there was no response."""

    status: int | None
    error: str | None
    duration_ms: int
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's


def next_attempt(step: int, outcome: Outcome, now: datetime, jitter: float) -> datetime | None:
    """Return the time of the next attempt after a failure; None if there are no more.

    `step` is the number of earlier failures, `jitter` a random number from 0 to 1.
    """
    if step + 1 >= len(DELAYS):
        return None
    seconds = DELAYS[step + 1] * (1 + JITTER * jitter)
    if outcome.status in _THROTTLING:
        seconds = max(seconds, _retry_after_seconds(outcome.retry_after, now))
    return now + timedelta(seconds=seconds)


def _retry_after_seconds(retry_after: str | None, now: datetime) -> float:
    """Parse a `Retry-After` header (seconds or an HTTP date) into seconds; 0 if invalid."""
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
    return min(max(seconds, 0), _MAX_RETRY_AFTER)
