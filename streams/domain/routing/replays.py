"""Deduplication of replayed dead letters, so that each has its effect once (ADR 12)."""

from schemas.headers import Source
from schemas.records import Replay
from streams.domain.states import Deadlines, States

#: Longer than the retention of dead letters and of their log segment.
KEPT_MS = 60 * 24 * 3_600_000

_DELETED_AT_ONCE = 1_000


class ReplayRegistry:
    """The replays of one partition."""

    def __init__(self, states: States[Replay]) -> None:
        self._states = states
        self._deadlines = Deadlines()

    def restore(self, key: bytes, replay: Replay) -> None:
        """Restore a replay after an assignment."""
        self._deadlines.set(key, replay.log_ms + KEPT_MS)

    def is_repeat(self, stage: str, origin: str, src: Source) -> bool:
        """Return True if the dead letter was replayed at a lower offset; otherwise remember it.

        At the same offset it is the same replay, read again after a crash.
        """
        key = f"{stage}:{origin}".encode()
        known = self._states.get(key)
        if known is not None:
            return known.src_offset < src.offset
        replay = Replay(stage=stage, origin=origin, src_offset=src.offset, log_ms=src.log_ms)
        self._states.put(key, replay)
        self.restore(key, replay)
        return False

    def end_batch(self, now_ms: int) -> None:
        """Delete replays of expired dead letters."""
        for key in self._deadlines.due(now_ms, _DELETED_AT_ONCE):
            if self._states.is_changed(key):
                self._deadlines.set(key, now_ms + KEPT_MS)
            else:
                self._states.delete(key)
