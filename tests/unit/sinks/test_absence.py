import time

import pytest

from schemas.topics import MIN_COMPACTION_LAG_MS
from sinks.agents.absence import CompactionCheck
from streams.engine.batch import Batch
from tests.component.streams.bench import InRecord

_HOUR_MS = 3_600_000


def batch(age_ms: float, partition: int = 3) -> Batch:
    """Return a batch whose first record was written so long ago."""
    written = int(time.time() * 1_000 - age_ms)
    record = InRecord(7, b"k", b"v", (), partition, written)
    return Batch("store_sessions", "sessions", partition, [record])


def test_a_sink_that_was_away_too_long_is_told_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """Once for each partition."""
    compaction = CompactionCheck()
    for partition in (3, 3, 4):
        compaction.check(batch(MIN_COMPACTION_LAG_MS + 12 * _HOUR_MS, partition), 7)

    told = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in told] == ["sessions/3", "sessions/4"]
    assert "read up to offset 7; the next record is 7, written at 2" in told[0]
    assert "Kafka keeps deleted states for 1 day" in told[0]
    assert "`headrace audit` lists them, `headrace rebuild` restores them" in told[0]


def test_it_is_told_where_nothing_old_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Compaction may have taken all that was written while it was away."""
    CompactionCheck().check(batch(0), 5)

    assert "read up to offset 5; the next record is 7" in caplog.text


def test_one_that_was_away_for_less_has_missed_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does it matter how old what comes later is: it was there to read it."""
    compaction = CompactionCheck()
    compaction.check(batch(MIN_COMPACTION_LAG_MS - _HOUR_MS), 7)
    compaction.check(batch(MIN_COMPACTION_LAG_MS + _HOUR_MS), 7)

    assert caplog.records == []
