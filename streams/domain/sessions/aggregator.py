"""The session aggregator: applies events and stream time to the sessions of one partition."""

import sys
from collections.abc import Iterator, Sequence

from schemas.clock_tolerance import LEAD_MS
from schemas.flat_visits import flat_visit
from schemas.headers import Source
from schemas.records import FlatVisit, RawEvent, SessionState
from streams.domain.sessions import rules as sessions
from streams.domain.sessions.rules import SessionRules
from streams.domain.states import MAX_EVICTIONS_PER_BATCH, Deadlines, States, evict_while_over

#: Sessions processed at a time, about 30 ms. After an outage a million may be due.
_AT_ONCE = 1_000


#: A record of the topic `visits` by key; None deletes the visit.
KeyedVisit = tuple[bytes, FlatVisit | None]


class SessionAggregator:
    """Applies the events of one partition to its session states, in order.

    `now_ms` is the worker's clock, which limits the log times of restored states.
    """

    def __init__(
        self, states: States[SessionState], rules: SessionRules, now_ms: int = sys.maxsize
    ) -> None:
        self._states = states
        self._rules = rules
        #: States with an open visit, and the others.
        self._to_close = Deadlines()
        self._to_forget = Deadlines()
        self._now_ms = 0
        self._now_at_start_ms = now_ms
        #: Restored states that are ahead of the worker's clock.
        self._ahead: list[bytes] = []
        self._seen = states.applied_until
        #: The highest source offset in the restored states.
        self._restored_until = -1
        #: The states that this batch changed, as they were before; None if they are new.
        self._before: dict[bytes, SessionState | None] = {}
        self._flat_visits: list[KeyedVisit] = []
        #: The current states of keys that `add` created in this batch. Nothing else refers to
        #: them, so they are changed in place.
        self._own: dict[bytes, SessionState] = {}
        #: The states that this batch evicted.
        self._evicted: dict[bytes, SessionState] = {}

    def restore(self, key: bytes, state: SessionState) -> None:
        """Restore a state after an assignment."""
        self._restored_until = max(self._restored_until, state.src_offset)
        self._set_deadline(key, state)
        if sessions.last_log_ms(state) > self._now_at_start_ms + LEAD_MS:
            self._ahead.append(key)

    def _set_deadline(self, key: bytes, state: SessionState) -> None:
        closes_ms = sessions.closes_at(state, self._rules)
        if closes_ms is not None:
            self._to_close.set(key, closes_ms)
        else:
            forgotten_ms = sessions.removed_at(state, self._now_ms, self._rules)
            self._to_forget.set(key, forgotten_ms)

    def evict(self, limit: int, ceiling_ms: int | None = None) -> int:
        """Evict the sessions beyond `limit`, those idle for longest first; return how many.

        Closed sessions are deleted first. Open ones are closed, and deleted in the next batch,
        because their last state must be published (design D5).
        """
        self._states.applied_until = self._seen
        self._evicted, self._own = {}, {}
        for deadlines in (self._to_close, self._to_forget):
            deadlines.drop_stale(self._states, len(self._states))
        evicted = self._evict(limit)
        if ceiling_ms is not None:
            self._limit_times(ceiling_ms)
        return evicted

    def _evict(self, limit: int) -> int:
        if not self._has_caught_up:
            return 0
        excess = min(len(self._states) - limit, MAX_EVICTIONS_PER_BATCH)
        deleted = evict_while_over(excess, self._delete_first)
        evict_while_over(excess - deleted, self._close_first)
        return deleted

    def _limit_times(self, ceiling_ms: int) -> None:
        """Limit the log times of restored states to `ceiling_ms`.

        Otherwise visits from a broker whose clock was ahead would stay open for as long.
        """
        for key in self._ahead[-_AT_ONCE:]:
            state = self._states.get(key)
            if state is not None:
                limited = sessions.limit_times(state, ceiling_ms)
                if limited is not state:
                    self._put(key, state, limited)
                    self._set_deadline(key, limited)
        del self._ahead[-_AT_ONCE:]

    def advance(self, src: Source) -> bool:
        """Advance stream time: close and remove the visits that are due.

        Stream time may also go back; closed visits stay closed. Return True if more may be due:
        call it again before the event is applied.
        """
        now_ms = self._now_ms = src.log_ms
        if src.offset > self._seen:  # noqa: PLR1730 - twice as fast as `max`
            self._seen = src.offset
        if not (self._to_close.is_due(now_ms) or self._to_forget.is_due(now_ms)):
            return False  # nearly always
        closing = self._to_close.due(self._now_ms, _AT_ONCE)
        for key in closing:
            self._settle(key, is_open=True)
        leaving = self._to_forget.due(self._now_ms, _AT_ONCE)
        for key in leaving:
            self._settle(key, is_open=False)
        return bool(closing or leaving)

    def add(self, event: RawEvent, src: Source) -> None:
        """Apply an event to its session, unless it was applied before."""
        if src.offset <= self._states.applied_until:
            return  # applied; the session may have been deleted since
        key = f"{event.site_id}:{event.session_id}".encode()
        own = self._own.get(key)
        if own is not None and sessions.apply_in_place(own, event, src, self._rules):
            return
        state = before = own or self._state_of(key)
        if state is not None:
            if src.offset <= state.src_offset:
                return
            state = self._without_due(key, state)
        changed = sessions.apply(state, event, src, self._rules)
        self._put(key, before, changed)
        self._own[key] = changed
        if before is None or not sessions.is_open(before):
            self._set_deadline(key, changed)

    def erase(self, key: bytes, src: Source, visit_ids: Sequence[str] = ()) -> None:
        """Publish a state without visits, upon which sinks delete the session's rows.

        The state is deleted once it is published (design D5). Events that follow begin new visits.
        `visit_ids` are visits of the session that may no longer be in its state.
        """
        if src.offset <= self._states.applied_until:
            return
        state = self._state_of(key)
        if state is not None and src.offset <= state.src_offset:
            return
        site, _, session = key.decode().partition(":")  # first: it raises if the key is no text
        visits = () if state is None else state.visits
        ids = dict.fromkeys((*visit_ids, *(one.visit_id for one in visits if not one.is_passive)))
        self._flat_visits += [(visit_id.encode(), None) for visit_id in ids]
        erased = SessionState(site_id=site, session_id=session, src_offset=src.offset, visits=[])
        self._put(key, state, erased)
        self._states.publish(key)  # even if an event of this batch begins a new visit
        self._to_forget.set(key, self._now_ms)

    def _state_of(self, key: bytes) -> SessionState | None:
        """Return a state, also if this batch evicted it: an event then cancels the eviction.

        Otherwise it would begin another visit, which a replay, that evicts nothing, does not.
        """
        return self._states.get(key) or self._evicted.get(key)

    def _without_due(self, key: bytes, state: SessionState) -> SessionState:
        """Return the state without visits that no event can reach, if they are published."""
        if sessions.are_all_open(state):  # nearly always
            return state
        if not self._states.is_changed(key):
            return sessions.remove_due(state, self._now_ms, self._rules)
        if not sessions.has_many_expired(state):
            return sessions.expire_due(state, self._now_ms, self._rules)
        # With hundreds of visits in one batch, the state would exceed the size of a record.
        self._states.publish(key)
        self._own.pop(key, None)  # the published state must not change
        self._flatten(key, state)
        return sessions.remove_due(state, self._now_ms, self._rules)

    def flush(self) -> Iterator[KeyedVisit]:
        """Yield the visits that this batch changed or erased, in order for each visit."""
        yield from self._flat_visits
        for key in self._before:
            self._flat_visits = []
            state = self._states.get(key)
            if state is not None:  # always: a changed state is not deleted
                self._flatten(key, state)
                yield from self._flat_visits
        self._flat_visits, self._before, self._own = [], {}, {}

    def _put(self, key: bytes, before: SessionState | None, state: SessionState) -> None:
        self._before.setdefault(key, before)
        self._states.put(key, state)
        self._own.pop(key, None)

    def _flatten(self, key: bytes, state: SessionState) -> None:
        """Add the visits of a state that have changed since the last call in this batch."""
        before = self._before[key]
        self._before[key] = state
        revisions = {one.visit_id: one.revision for one in before.visits} if before else {}
        for visit in state.visits:
            if revisions.get(visit.visit_id) != visit.revision and not visit.is_passive:
                record = flat_visit(state.site_id, state.session_id, visit)
                self._flat_visits.append((visit.visit_id.encode(), record))

    def _settle(self, key: bytes, *, is_open: bool) -> None:
        """Close and remove the due visits of a state, which was queued as open or as closed."""
        state = self._states.get(key)
        if state is None or is_open != sessions.is_open(state):
            return  # deleted, or in the other queue
        settled = sessions.close_due(state, self._now_ms, self._rules)
        if settled is state and self._has_caught_up and not self._states.is_changed(key):
            settled = sessions.remove_due(state, self._now_ms, self._rules)
        if not settled.visits:
            if self._has_caught_up and not self._states.is_changed(key):
                self._states.delete(key)
            else:  # just erased
                self._to_forget.set(key, self._now_ms + 1)
            return
        if settled is not state:
            self._put(key, state, settled)
        self._set_deadline(key, settled)

    @property
    def _has_caught_up(self) -> bool:
        """Whether all events in the restored states were read again.

        Nothing is deleted before: no state and no tombstone would record that they were applied.
        """
        return self._states.applied_until >= self._restored_until

    def _delete_first(self) -> bool:
        """Delete the session that was closed first; return False if there is none."""
        key = self._to_forget.earliest(self._forgotten_at)
        if key is None or (state := self._states.get(key)) is None:
            return False
        self._states.delete(key)
        self._evicted[key] = state
        return True

    def _forgotten_at(self, key: bytes) -> int | None:
        state = self._states.get(key)
        if state is None or sessions.is_open(state):
            return None
        return sessions.removed_at(state, 0, self._rules)

    def _close_first(self) -> bool:
        """Close the open session that was idle for longest; return False if there is none."""
        key = self._to_close.earliest(self._closes_at)
        state = None if key is None else self._states.get(key)
        if key is None or state is None:
            return False
        closed = sessions.close_all(state)
        self._put(key, state, closed)
        self._set_deadline(key, closed)
        return True

    def _closes_at(self, key: bytes) -> int | None:
        state = self._states.get(key)
        return None if state is None else sessions.closes_at(state, self._rules)
