"""Warnings about records that compaction may have deleted."""

import time

import pytest

from schemas.topics import MIN_COMPACTION_LAG_MS
from sinks.agents.compaction_check import CompactionCheck
from streams.engine.batch import Batch
from tests.component.streams.bench import InRecord

_HOUR_MS = 3_600_000


def batch(age_ms: float, partition: int = 3) -> Batch:
    """Return a batch whose first record is `age_ms` old."""
    written = int(time.time() * 1_000 - age_ms)
    record = InRecord(7, b"k", b"v", (), partition, written)
    return Batch("store_sessions", "sessions", partition, [record])


def test_a_sink_that_was_down_for_too_long_logs_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once per partition."""
    compaction = CompactionCheck()
    for partition in (3, 3, 4):
        compaction.check(batch(MIN_COMPACTION_LAG_MS + 12 * _HOUR_MS, partition), 7)

    messages = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in messages] == ["sessions/3", "sessions/4"]
    assert "read up to offset 7; the next record is 7, written at 2" in messages[0]
    assert "Kafka keeps deleted states for 1 day" in messages[0]
    assert "`headrace audit` lists them, `headrace rebuild` restores them" in messages[0]


def test_a_gap_in_the_offsets_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Compaction may have deleted everything that was written during the downtime."""
    CompactionCheck().check(batch(0), 5)

    assert "read up to offset 5; the next record is 7" in caplog.text


def test_a_short_downtime_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Only the first batch is checked; later ones may be of any age."""
    compaction = CompactionCheck()
    compaction.check(batch(MIN_COMPACTION_LAG_MS - _HOUR_MS), 7)
    compaction.check(batch(MIN_COMPACTION_LAG_MS + _HOUR_MS), 7)

    assert caplog.records == []
