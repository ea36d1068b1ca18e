"""The duration aggregator: applies the page leaves of one partition."""

from collections import defaultdict

from msgspec.structs import replace

from schemas.headers import Source
from schemas.records import PageDuration, RawEvent
from streams.domain.durations import rules
from streams.domain.durations.candidate_paths import CandidatePaths
from streams.domain.durations.rules import Leave, Page
from streams.domain.states import Deadlines, States, evict_while_over

#: Limit of deletions per batch; the next batch continues.
_DELETED_AT_ONCE = 5_000


class DurationAggregator:
    """Aggregates page leaves in the states of one partition, a batch at a time."""

    def __init__(self, states: States[PageDuration], partition: int) -> None:
        self._states = states
        self._partition = partition
        self._deadlines = Deadlines()
        self._now_ms = 0
        self._seen = states.applied_until
        #: The highest source offset in the restored states.
        self._restored_until = -1
        #: The number of paths of each site and hour.
        self._paths: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._leaves: defaultdict[bytes, list[Leave]] = defaultdict(list)
        self._pages: dict[bytes, Page] = {}
        #: Candidates of the current batch, by the key of `(other)` of their hour.
        self._candidates: dict[bytes, CandidatePaths] = {}

    def restore(self, key: bytes, state: PageDuration) -> None:
        """Restore a state after an assignment."""
        self._restored_until = max(self._restored_until, state.src_offset)
        self._count_path(state, 1)
        self._deadlines.set(key, rules.deadline(state))

    def evict(self, limit: int, ceiling_ms: int | None = None) -> int:  # noqa: ARG002
        """Delete the states that are due, and those beyond `limit`; return how many of the latter.

        Deletions happen before any change of the batch: which paths get a row depends on the stored
        states, and must be the same when the batch is read again after a crash.
        """
        self._states.applied_until = self._seen
        self._deadlines.drop_stale(self._states, len(self._states))
        if self._seen < self._restored_until:
            return 0  # events in the restored states are not all read again yet
        due = self._deadlines.due(self._now_ms, _DELETED_AT_ONCE)
        deleted = sum(self._settle(key) for key in due)
        return evict_while_over(len(self._states) - deleted - limit, self._delete_first)

    def add(self, event: RawEvent, src: Source) -> None:
        """Add a page leave with a duration, unless it was applied before.

        Raises `ValueError` for a negative duration.
        """
        if src.offset <= self._states.applied_until:
            return
        if event.duration_ms is None:
            return
        if event.duration_ms < 0:
            raise ValueError(f"a duration of {event.duration_ms} ms")
        page = rules.page_of(event)
        key = rules.key_of(self._partition, page)
        if not self._is_known(key, src.offset):
            paths = self._paths.get((page.site_id, page.hour), 0)
            kept = rules.bounded(page, event.session_id, paths, lambda: self._candidates_of(page))
            if kept != page:
                page, key = kept, rules.key_of(self._partition, kept)
            if key not in self._leaves and self._states.get(key) is None:
                self._count_path(page, 1)
        self._pages[key] = page
        self._leaves[key].append(Leave(event.duration_ms, src))

    def advance(self, src: Source) -> bool:
        """Advance stream time; it may also go back."""
        self._now_ms = src.log_ms
        self._seen = max(self._seen, src.offset)
        return False

    def flush(self) -> tuple[()]:
        """Apply the leaves of the batch to the states."""
        # `(other)` is written last: after a crash before that, the candidates are those from before
        # the first of these leaves.
        for key, leaves in sorted(self._leaves.items(), key=lambda one: one[0] in self._candidates):
            state = self._states.get(key)
            changed = rules.add(state, self._pages[key], leaves)
            if changed is not state:
                if (candidates := self._candidates.get(key)) is not None:
                    changed = replace(changed, candidates=candidates.packed())
                self._states.put(key, changed)
            if state is None:
                self._deadlines.set(key, rules.deadline(changed))
        self._leaves.clear()
        self._pages.clear()
        self._candidates.clear()
        return ()

    def _settle(self, key: bytes) -> bool:
        """Delete a state if it is due; return False if it is not."""
        state = self._states.get(key)
        if state is None:
            return False
        deadline = rules.deadline(state)
        if deadline >= self._now_ms:
            self._deadlines.set(key, deadline)
            return False
        self._delete(key, state)
        return True

    def _delete(self, key: bytes, state: PageDuration) -> None:
        self._states.delete(key)
        self._count_path(state, -1)

    def _delete_first(self) -> bool:
        """Delete the state with the earliest deadline; return False if there is none."""
        first = self._deadlines.earliest_state(self._states, rules.deadline)
        if first is not None:
            self._delete(*first)
        return first is not None

    def _count_path(self, page: Page | PageDuration, difference: int) -> None:
        # `(other)` does not count: after a crash that wrote it before the last path of its hour, a
        # replay would count that path in `(other)`, which has applied its offset.
        if page.path == rules.OTHER_PATHS:
            return
        place = (page.site_id, page.hour)
        self._paths[place] += difference
        if not self._paths[place]:
            del self._paths[place]

    def _is_known(self, key: bytes, offset: int) -> bool:
        """Return True if a page had a row when this leave was read for the first time.

        A row that started at a later leave may have been written before a crash.
        """
        if key in self._leaves:
            return True
        state = self._states.get(key)
        return state is not None and state.generation <= offset

    def _candidates_of(self, page: Page) -> CandidatePaths:
        key = rules.key_of(self._partition, page._replace(path=rules.OTHER_PATHS))
        if key not in self._candidates:
            rest = self._states.get(key)
            self._candidates[key] = CandidatePaths(None if rest is None else rest.candidates)
        return self._candidates[key]
