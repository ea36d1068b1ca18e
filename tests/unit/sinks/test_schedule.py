"""The retry schedule of deliveries."""

from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.delivery.schedule import DELAYS, Outcome, next_attempt
from tests.contract.sinks.samples import NOON_TIME

FAILED = Outcome(500, None, 1)


@given(st.lists(st.floats(0, 1), min_size=len(DELAYS), max_size=len(DELAYS)))
def test_ten_attempts_are_made_over_three_days(chances: list[float]) -> None:
    """After 0 s, 5 s, 5 min, 30 min, …, each extended by up to a tenth."""
    now, waits = NOON_TIME, []
    for step, chance in enumerate(chances):
        next_at = next_attempt(step, FAILED, now, chance)
        if next_at is None:
            break
        waits.append((next_at - now).total_seconds())
        now = next_at

    assert len(waits) + 1 == len(DELAYS) == 10
    for waited, planned in zip(waits, DELAYS[1:], strict=True):
        assert planned <= waited <= 1.1 * planned + 1e-6
    assert now - NOON_TIME >= timedelta(hours=75, minutes=35)


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [
        (429, "120", 120),
        (503, "120", 120),
        (503, "0", 5),
        (503, format_datetime(NOON_TIME + timedelta(minutes=10), usegmt=True), 600),
        (503, format_datetime(NOON_TIME - timedelta(minutes=10), usegmt=True), 5),
        (503, "99999999999999999999", 24 * 3600),
        (503, "soon", 5),
        (503, "-5", 5),
        (503, "²", 5),
        (503, None, 5),
        (500, "120", 5),
        (None, "120", 5),
    ],
)
def test_retry_after_extends_the_delay(
    status: int | None, retry_after: str | None, seconds: int
) -> None:
    """With 429 or 503, as seconds or a date, up to a day; it never shortens the delay."""
    outcome = Outcome(status, None, 1, retry_after)

    assert next_attempt(0, outcome, NOON_TIME, 0) == NOON_TIME + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("status", "success"), [(200, True), (299, True), (199, False), (301, False), (None, False)]
)
def test_only_2xx_is_success(status: int | None, success: bool) -> None:
    """A redirect is not."""
    assert Outcome(status, None, 1).is_success is success
