"""The page durations of one partition while its page leaves flow."""

from collections import defaultdict

from schemas.headers import Source
from schemas.records import PageDuration, RawEvent
from streams.domain import durations
from streams.domain.durations import Leave, Page
from streams.domain.states import Deadlines, States

#: States deleted in one batch; the others go with the next ones.
_DELETED_AT_ONCE = 5_000


class DurationBook:
    """Adds up page leaves in the states of one partition, by whole batches."""

    def __init__(self, states: States[PageDuration], partition: int) -> None:
        self._states = states
        self._partition = partition
        self._deadlines = Deadlines()
        self._now_ms = 0
        #: How many paths each site and hour has, so that they stay bounded.
        self._paths: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._leaves: defaultdict[bytes, list[Leave]] = defaultdict(list)
        self._pages: dict[bytes, Page] = {}

    def know(self, key: bytes, state: PageDuration) -> None:
        """Take note of a state that was there before."""
        self._count_path(state, 1)
        self._deadlines.set(key, durations.deadline(state))

    def leave(self, event: RawEvent, src: Source) -> None:
        """Note a page leave; one without a duration says nothing of time on page.

        `ValueError` when the duration is negative: it would spoil the sum.
        """
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

    def advance(self, now_ms: int) -> None:
        """Let stream time pass. Time never goes back."""
        self._now_ms = max(self._now_ms, now_ms)

    def end_batch(self) -> None:
        """Add what was noted to the states, and delete those that are due."""
        for key, leaves in self._leaves.items():
            state = self._states.get(key)
            # Also when all were applied before. Sent again, a state is not deleted in this
            # batch: a crash would have us read the leaves once more, and count them.
            changed = durations.add(state, self._pages[key], leaves)
            self._states.put(key, changed)
            self._deadlines.set(key, durations.deadline(changed))
        self._leaves.clear()
        self._pages.clear()
        for key in self._deadlines.due(self._now_ms, _DELETED_AT_ONCE):
            self._settle(key)

    def _settle(self, key: bytes) -> None:
        state = self._states.get(key)
        if state is None:
            return
        deadline = durations.deadline(state)
        if deadline < self._now_ms and not self._states.is_changed(key):
            self._states.delete(key)
            self._count_path(state, -1)
        else:
            self._deadlines.set(key, deadline)

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
