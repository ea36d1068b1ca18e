"""The page durations of one partition while its page leaves flow."""

from collections import defaultdict

from schemas.headers import Source
from schemas.records import PageDuration, RawEvent
from streams.domain import durations
from streams.domain.durations import Leave, Page
from streams.domain.states import Deadlines, States, let_leave

#: States deleted in one batch; the others go with the next ones.
_DELETED_AT_ONCE = 5_000


class DurationBook:
    """Adds up page leaves in the states of one partition, by whole batches."""

    def __init__(self, states: States[PageDuration], partition: int) -> None:
        self._states = states
        self._partition = partition
        self._deadlines = Deadlines()
        self._now_ms = 0
        self._seen = states.applied_until
        #: The last leave that a state knew of when the partition was taken over.
        self._known_until = -1
        #: How many paths each site and hour has, so that they stay bounded.
        self._paths: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._leaves: defaultdict[bytes, list[Leave]] = defaultdict(list)
        self._pages: dict[bytes, Page] = {}

    def know(self, key: bytes, state: PageDuration) -> None:
        """Take note of a state that was there before."""
        self._known_until = max(self._known_until, state.src_offset)
        self._count_path(state, 1)
        self._deadlines.set(key, durations.deadline(state))

    def begin_batch(self, most: int) -> int:
        """Delete the states that are due, and those beyond `most`; return how many of these.

        Only here, where nothing is changed yet: which paths are kept apart hangs on what is
        there, and must be the same when the batch is read again after a crash.
        """
        self._states.applied_until = self._seen
        self._deadlines.throw_out_stale(self._states, len(self._states))
        if self._seen < self._known_until:
            return 0  # what the states know is not all read again yet
        due = self._deadlines.due(self._now_ms, _DELETED_AT_ONCE)
        deleted = sum(self._settle(key) for key in due)
        return let_leave(len(self._states) - deleted - most, self._delete_first)

    def leave(self, event: RawEvent, src: Source) -> None:
        """Note a page leave; one without a duration says nothing of time on page.

        What was applied before changes nothing: its state may have been deleted since.
        `ValueError` when the duration is negative: it would spoil the sum.
        """
        if src.offset <= self._states.applied_until:
            return
        if event.duration_ms is None:
            return
        if event.duration_ms < 0:
            raise ValueError(f"a duration of {event.duration_ms} ms")
        page = durations.page_of(event)
        key = durations.key_of(self._partition, page)
        paths = self._paths.get((page.site_id, page.hour), 0)
        kept = durations.bounded(page, is_known=self._is_known(key), paths=paths)
        if kept != page:
            key = durations.key_of(self._partition, kept)
        if not self._is_known(key):
            self._count_path(kept, 1)
        self._pages[key] = kept
        self._leaves[key].append(Leave(event.duration_ms, src))

    def advance(self, src: Source) -> None:
        """Let stream time pass. Time never goes back. Call it for each record."""
        self._now_ms = max(self._now_ms, src.log_ms)
        self._seen = max(self._seen, src.offset)

    def end_batch(self) -> None:
        """Add what was noted to the states."""
        for key, leaves in self._leaves.items():
            state = self._states.get(key)
            changed = durations.add(state, self._pages[key], leaves)
            if changed is not state:
                self._states.put(key, changed)
            if state is None:
                self._deadlines.set(key, durations.deadline(changed))
        self._leaves.clear()
        self._pages.clear()

    def _settle(self, key: bytes) -> bool:
        """Delete a state that is due; False when it is not, or not any more."""
        state = self._states.get(key)
        if state is None:
            return False
        deadline = durations.deadline(state)
        if deadline >= self._now_ms:
            self._deadlines.set(key, deadline)
            return False
        self._delete(key, state)
        return True

    def _delete(self, key: bytes, state: PageDuration) -> None:
        self._states.delete(key)
        self._count_path(state, -1)

    def _delete_first(self) -> bool:
        """Delete the state that is due first; False when there is none."""
        first = self._deadlines.earliest_state(self._states, durations.deadline)
        if first is not None:
            self._delete(*first)
        return first is not None

    def _count_path(self, page: Page | PageDuration, difference: int) -> None:
        # Were the rest counted too, then after a crash that wrote it before the last path of
        # its hour, the replay would put that path into the rest, which knows its offset.
        if page.path == durations.OTHER_PATHS:
            return
        place = (page.site_id, page.hour)
        self._paths[place] += difference
        if not self._paths[place]:
            del self._paths[place]

    def _is_known(self, key: bytes) -> bool:
        return key in self._leaves or self._states.get(key) is not None
