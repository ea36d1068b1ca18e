"""The lag of a worker's partitions."""

from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from streams.engine.lag import Lag, LagMeter

TP = TopicPartition("events-raw", 0)


class Clock:
    """A clock that a test sets, in seconds."""

    now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock at 1,000 s."""
    return Clock()


def batch(*records: tuple[int, float]) -> list[SimpleNamespace]:
    """Return records with these offsets and times (s)."""
    return [SimpleNamespace(offset=offset, timestamp=at * 1_000) for offset, at in records]


def test_without_unprocessed_records_the_lag_is_zero(clock: Clock) -> None:
    """However old the last record is."""
    meter = LagMeter(clock)
    records = batch((6, 10.0))
    meter.begin_batch(TP, records)
    meter.end_batch(TP, records, 7)

    assert meter.measure({TP: 7}) == {TP: Lag(0, 0.0)}


def test_while_a_batch_is_processed_its_first_record_is_the_oldest(clock: Clock) -> None:
    """Also if the database was away for minutes."""
    meter = LagMeter(clock)
    meter.begin_batch(TP, batch((0, 900.0), (1, 950.0)))
    meter.update_ends({TP: 5}, {TP: 0})

    assert meter.measure({TP: 0}) == {TP: Lag(5, 100.0)}
    clock.now += 60
    assert meter.measure({TP: 0}) == {TP: Lag(5, 160.0)}


def test_between_the_batches_of_a_backlog_the_next_record_is_as_old_as_the_last(
    clock: Clock,
) -> None:
    """It was not fetched yet."""
    meter = LagMeter(clock)
    records = batch((0, 400.0), (1, 500.0))
    meter.begin_batch(TP, records)
    meter.end_batch(TP, records, 100)

    assert meter.measure({TP: 2}) == {TP: Lag(98, 500.0)}


def test_a_record_that_no_fetch_returned_ages_from_when_it_was_seen(clock: Clock) -> None:
    """The last processed record of a site without traffic is hours old."""
    meter = LagMeter(clock)
    records = batch((0, 1.0))
    meter.begin_batch(TP, records)
    meter.end_batch(TP, records, 1)
    meter.update_ends({TP: 2}, {TP: 1})

    clock.now += 20
    assert meter.measure({TP: 1}) == {TP: Lag(1, 20.0)}
    meter.update_ends({TP: 3}, {TP: 1})
    assert meter.measure({TP: 1}) == {TP: Lag(2, 20.0)}


def test_a_new_assignment_starts_from_nothing(clock: Clock) -> None:
    """Another worker processed the records in between."""
    meter = LagMeter(clock)
    meter.begin_batch(TP, batch((0, 1.0)))
    meter.update_ends({TP: 9}, {TP: 0})
    meter.assign()

    assert meter.measure({TP: 9}) == {}
    meter.update_ends({TP: 9}, {TP: 9})
    assert meter.measure({TP: 9}) == {TP: Lag(0, 0.0)}
