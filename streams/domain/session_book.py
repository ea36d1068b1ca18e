"""The sessions of one partition while its events flow: when what is applied, closed, forgotten."""

from schemas.headers import Source
from schemas.records import RawEvent, SessionState
from streams.domain import sessions
from streams.domain.sessions import SessionRules
from streams.domain.states import LEAVE_AT_ONCE, Deadlines, States, let_leave

#: Sessions settled in one go: some 30 ms. After a long stop a million may be due at once.
_AT_ONCE = 1_000


class SessionBook:
    """Applies events and time to the session states of one partition, in its order."""

    def __init__(self, states: States[SessionState], rules: SessionRules) -> None:
        self._states = states
        self._rules = rules
        #: Each state with an open visit is in the one, each other in the other.
        self._to_close = Deadlines()
        self._to_forget = Deadlines()
        self._now_ms = 0
        self._seen = states.applied_until
        #: The last event that a state knew of when the partition was taken over.
        self._known_until = -1

    def know(self, key: bytes, state: SessionState) -> None:
        """Take note of a state that was there before."""
        self._known_until = max(self._known_until, state.src_offset)
        self._set_deadline(key, state)

    def _set_deadline(self, key: bytes, state: SessionState) -> None:
        closes_ms = sessions.closes_at(state, self._rules)
        if closes_ms is not None:
            self._to_close.set(key, closes_ms)
        else:
            forgotten_ms = sessions.forgotten_at(state, self._now_ms, self._rules)
            self._to_forget.set(key, forgotten_ms)

    def begin_batch(self, most: int) -> int:
        """Have the sessions beyond `most` leave, those idle for longest first; return how many.

        Closed ones are deleted before their time. Open ones, when there are no others, are
        closed, and go with the next batch: their last value must be published (design D5).
        """
        self._states.applied_until = self._seen
        for deadlines in (self._to_close, self._to_forget):
            deadlines.throw_out_stale(self._states, len(self._states))
        if not self._has_caught_up:
            return 0
        excess = min(len(self._states) - most, LEAVE_AT_ONCE)
        deleted = let_leave(excess, self._delete_first)
        let_leave(excess - deleted, self._close_first)
        return deleted

    def advance(self, src: Source) -> bool:
        """Let stream time pass: close and forget what is due. Time never goes back.

        Call it for each record, events and ticks. True when there may be more to do at this
        time: call it again, before the event is applied.
        """
        self._now_ms = max(self._now_ms, src.log_ms)
        self._seen = max(self._seen, src.offset)
        closing = self._to_close.due(self._now_ms, _AT_ONCE)
        for key in closing:
            self._settle(key, is_open=True)
        leaving = self._to_forget.due(self._now_ms, _AT_ONCE)
        for key in leaving:
            self._settle(key, is_open=False)
        return bool(closing or leaving)

    def apply(self, key: bytes, event: RawEvent, src: Source) -> None:
        """Apply an event to its session; what was applied before changes nothing."""
        if src.offset <= self._states.applied_until:
            return  # its session may have been deleted since
        state = self._states.get(key)
        if state is not None and src.offset <= state.src_offset:
            return
        was_open = state is not None and sessions.is_open(state)
        if state is not None:
            drop = sessions.leave_due if self._states.is_changed(key) else sessions.forget_due
            state = drop(state, self._now_ms, self._rules)
        changed = sessions.apply(state, event, src, self._rules)
        self._states.put(key, changed)
        if not was_open:
            self._set_deadline(key, changed)

    def _settle(self, key: bytes, *, is_open: bool) -> None:
        """Close and forget what is due of a state that came up as open, or as not open."""
        state = self._states.get(key)
        if state is None or is_open != sessions.is_open(state):
            return  # deleted, or the other deadlines have it
        settled = sessions.close_due(state, self._now_ms, self._rules)
        if settled is state and self._has_caught_up and not self._states.is_changed(key):
            settled = sessions.forget_due(state, self._now_ms, self._rules)
        if not settled.visits:
            self._states.delete(key)
            return
        if settled is not state:
            self._states.put(key, settled)
        self._set_deadline(key, settled)

    @property
    def _has_caught_up(self) -> bool:
        """Whether all was read again that states knew of when the partition was taken over.

        Nothing is deleted before: no state and no tombstone would tell that it was applied.
        """
        return self._states.applied_until >= self._known_until

    def _delete_first(self) -> bool:
        """Delete the session that is closed for longest; False when none is."""
        key = self._to_forget.earliest(self._forgotten_at)
        if key is not None:
            self._states.delete(key)
        return key is not None

    def _forgotten_at(self, key: bytes) -> int | None:
        state = self._states.get(key)
        if state is None or sessions.is_open(state):
            return None
        return sessions.forgotten_at(state, 0, self._rules)

    def _close_first(self) -> bool:
        """Close the open session that is idle for longest; False when none is."""
        key = self._to_close.earliest(self._closes_at)
        state = None if key is None else self._states.get(key)
        if key is None or state is None:
            return False
        closed = sessions.close_all(state)
        self._states.put(key, closed)
        self._set_deadline(key, closed)
        return True

    def _closes_at(self, key: bytes) -> int | None:
        state = self._states.get(key)
        return None if state is None else sessions.closes_at(state, self._rules)
