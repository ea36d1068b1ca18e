"""Which dead letters were replayed before: each has its effect once (ADR 12)."""

from schemas.headers import Source
from schemas.records import Replay
from streams.domain.states import Deadlines, States

#: Longer than any dead letter is kept, with the segment of the log that it is in.
KEPT_MS = 60 * 24 * 3_600_000

_DELETED_AT_ONCE = 1_000


class ReplayBook:
    """The replays of one partition, in its order."""

    def __init__(self, states: States[Replay]) -> None:
        self._states = states
        self._deadlines = Deadlines()

    def know(self, key: bytes, replay: Replay) -> None:
        """Take note of a replay that was there before."""
        self._deadlines.set(key, replay.log_ms + KEPT_MS)

    def is_repeat(self, stage: str, origin: str, src: Source) -> bool:
        """Tell whether the dead letter was replayed at a lower offset; remember it when not.

        At the same offset it is the very replay, read again after a crash.
        """
        key = f"{stage}:{origin}".encode()
        known = self._states.get(key)
        if known is not None:
            return known.src_offset < src.offset
        replay = Replay(stage=stage, origin=origin, src_offset=src.offset, log_ms=src.log_ms)
        self._states.put(key, replay)
        self.know(key, replay)
        return False

    def end_batch(self, now_ms: int) -> None:
        """Forget what no dead letter can ask for any more."""
        for key in self._deadlines.due(now_ms, _DELETED_AT_ONCE):
            if self._states.is_changed(key):
                self._deadlines.set(key, now_ms + KEPT_MS)
            else:
                self._states.delete(key)
