import logging

import pytest

from streams.engine.broker_clock import BrokerClock

PLACE = ("events-raw", 0)
DAY = 86_400.0


class Clock:
    """The worker's clock (s), set by tests."""

    def __init__(self) -> None:
        self.now = 1_775_044_800.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (2 * DAY, "2 days ahead of"),
        (96 * 60, "96 minutes ahead of"),
        (301, "5 minutes ahead of"),
        (-310, "5 minutes behind"),
        (-5 * 3_600, "5 hours behind"),
        (-3_650 * DAY, "3650 days behind"),
    ],
)
def test_a_deviation_is_reported_while_it_lasts(
    wrong: float, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged when it begins and when it ends. The largest of all brokers counts."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    broker = BrokerClock(clock)
    for partition in range(3):
        for _ in range(5):
            is_wrong = partition == 1
            at_ms = int((clock.now + is_wrong * wrong) * 1_000)
            broker.record(("events-raw", partition), at_ms, clock.now)
    assert broker.deviation_seconds == pytest.approx(wrong)
    assert said in (broker.problem() or "")

    for _ in range(3):
        broker.record(("events-raw", 1), int(clock.now * 1_000), clock.now)
    assert broker.problem() is None
    assert [said in record.message for record in caplog.records] == [True, False]


@pytest.mark.parametrize("wrong", [0.0, 300.0, -299.0, 12.0])
def test_small_deviations_are_measured_but_not_reported(wrong: float) -> None:
    """Clocks without NTP may deviate by minutes."""
    clock = Clock()
    broker = BrokerClock(clock)
    broker.record(PLACE, int((clock.now + wrong) * 1_000), clock.now)
    assert broker.deviation_seconds == pytest.approx(wrong)
    assert broker.problem() is None


def test_a_stall_before_the_response_is_not_a_deviation() -> None:
    """The log append time is between the request and the response."""
    clock = Clock()
    broker = BrokerClock(clock)
    sent_at = clock.now
    clock.now += 3_600
    broker.record(PLACE, int((sent_at + 1) * 1_000), sent_at)
    assert broker.deviation_seconds == 0.0


def test_the_deviation_of_a_revoked_partition_expires() -> None:
    """Nothing is sent to it any more."""
    clock = Clock()
    broker = BrokerClock(clock)
    broker.record(PLACE, int((clock.now + DAY) * 1_000), clock.now)
    clock.now += 121
    assert broker.deviation_seconds == 0.0
