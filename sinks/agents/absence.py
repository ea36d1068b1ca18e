"""Tells who runs the sinks that they were away for longer than Kafka keeps deleted states."""

import logging
import time
from datetime import UTC, datetime

from schemas.topics import MIN_COMPACTION_LAG_MS
from streams.engine.batch import Batch

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000


class Absence:
    """Looks at the first batch of each partition of a compacted topic."""

    def __init__(self) -> None:
        self._looked_at: set[int] = set()

    def look(self, batch: Batch) -> None:
        """Warn when the batch begins with a record that compaction no longer leaves alone.

        Some behind it may have been deleted, with the last value of their state.
        """
        if batch.partition in self._looked_at:
            return
        self._looked_at.add(batch.partition)
        written_ms = batch.records[0].timestamp
        age_ms = time.time() * 1_000 - written_ms
        if age_ms > MIN_COMPACTION_LAG_MS:
            log.warning(
                "%s/%d: read up to %s, %.1f days ago; Kafka keeps what was deleted for %.0f day, "
                "so rows may be missing: `headrace audit` names them, `headrace rebuild` mends it",
                batch.topic,
                batch.partition,
                datetime.fromtimestamp(written_ms / 1_000, UTC).isoformat(" ", "seconds"),
                age_ms / _DAY_MS,
                MIN_COMPACTION_LAG_MS / _DAY_MS,
            )
