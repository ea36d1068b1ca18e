"""The sessions of one partition while its events flow: when what is applied, closed, forgotten."""

from schemas.headers import Source
from schemas.records import RawEvent, SessionState
from streams.domain import sessions
from streams.domain.sessions import SessionRules
from streams.domain.states import Deadlines, States

#: Sessions settled in one go: some 30 ms. After a long stop a million may be due at once.
_AT_ONCE = 1_000


class SessionBook:
    """Applies events and time to the session states of one partition, in its order."""

    def __init__(self, states: States[SessionState], rules: SessionRules) -> None:
        self._states = states
        self._rules = rules
        self._deadlines = Deadlines()
        self._now_ms = 0

    def know(self, key: bytes, state: SessionState) -> None:
        """Take note of a state that was there before."""
        self._deadlines.set(key, sessions.next_deadline(state, self._now_ms, self._rules))

    def advance(self, now_ms: int) -> bool:
        """Let stream time pass: close and forget what is due. Time never goes back.

        True when there may be more to do at this time: call it again, before the next event.
        """
        self._now_ms = max(self._now_ms, now_ms)
        due = self._deadlines.due(self._now_ms, _AT_ONCE)
        for key in due:
            self._settle(key)
        return len(due) == _AT_ONCE

    def apply(self, key: bytes, event: RawEvent, src: Source) -> None:
        """Apply an event to its session; one that was applied before sends its state again."""
        state = self._states.get(key)
        if state is not None and src.offset <= state.src_offset:
            # Sent again, it is not deleted in this batch: a crash would have us read the event
            # once more, and find nothing that says it was applied.
            self._states.put(key, state)
            return
        if state is not None:
            drop = sessions.leave_due if self._states.is_changed(key) else sessions.forget_due
            state = drop(state, self._now_ms, self._rules)
        changed = sessions.apply(state, event, src, self._rules)
        self._states.put(key, changed)
        self.know(key, changed)

    def _settle(self, key: bytes) -> None:
        state = self._states.get(key)
        if state is None:
            return
        settled = sessions.close_due(state, self._now_ms, self._rules)
        if settled is state and not self._states.is_changed(key):
            settled = sessions.forget_due(state, self._now_ms, self._rules)
        if not settled.visits:
            self._states.delete(key)
            return
        if settled is not state:
            self._states.put(key, settled)
        self.know(key, settled)
