"""Time on page: page leaves by site, hour of event time and path.

A row is absolute: how many leaves, their sum, shortest, longest and a quantile sketch. When
its state was deleted and one more event comes, a new generation begins, a row of its own, so
sums stay right (design D5).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from schemas import sketch
from schemas.headers import Source
from schemas.paths import path_of
from schemas.records import PageDuration, RawEvent

#: A page left open in a background tab says nothing of reading: more counts as this.
MAX_DURATION_MS = 6 * 3_600_000
#: Paths kept apart for one site, hour and partition; the others are counted together.
MAX_PATHS = 2_000
OTHER_PATHS = "(other)"

_HOUR_US = 3_600_000_000
_HOUR_MS = 3_600_000
#: An hour of event time stays in the state so long after it ended: the reach of late events.
_RETENTION_MS = 26 * _HOUR_MS
#: An hour of an import ended long ago; it stays so long after its last event.
_IDLE_MS = _HOUR_MS


class Page(NamedTuple):
    """What durations are summed by: site, start of the hour (us, UTC) and path."""

    site_id: str
    hour: int
    path: str


class Leave(NamedTuple):
    """One page leave: how long the page was open (ms) and where the event stands."""

    duration_ms: int
    src: Source


def page_of(event: RawEvent) -> Page:
    """Return the page and hour that a page leave belongs to."""
    return Page(
        event.site_id, event.event_ts - event.event_ts % _HOUR_US, path_of(event.path, event.url)
    )


def key_of(partition: int, page: Page | PageDuration) -> bytes:
    """Return the key of a page's state, in the table and its topic."""
    return f"{partition}:{page.site_id}:{_hour_text(page.hour)}:{page.path}".encode()


def bounded(page: Page, *, is_known: bool, paths: int) -> Page:
    """Return the page, or the hour's rest when it would be one path too many.

    `paths` is the number of paths that the page's site and hour have already.
    """
    return page if is_known or paths < MAX_PATHS else page._replace(path=OTHER_PATHS)


def add(state: PageDuration | None, page: Page, leaves: Sequence[Leave]) -> PageDuration:
    """Return the state with the leaves in it; unchanged when all were applied before.

    The leaves are of one partition, in its order; some may be there twice.
    """
    fresh = _fresh(leaves, -1 if state is None else state.src_offset)
    state = state or _begin(page, leaves[0].src)
    if not fresh:
        return state
    values = [min(leave.duration_ms, MAX_DURATION_MS) for leave in fresh]
    last = fresh[-1].src
    is_first = state.leaves == 0
    return replace(
        state,
        # By leaves, not by batches: of two workers that cut them differently, the row that knows
        # more must win.
        revision=state.revision + len(values),
        src_offset=last.offset,
        last_log_ms=max(state.last_log_ms, *(leave.src.log_ms for leave in fresh)),
        leaves=state.leaves + len(values),
        total_ms=state.total_ms + sum(values),
        min_ms=min(values) if is_first else min(state.min_ms, *values),
        max_ms=max(state.max_ms, *values),
        sketch=sketch.add(state.sketch, values),
    )


def deadline(state: PageDuration) -> int:
    """Return the stream time (ms) after which the state is deleted."""
    ended_ms = state.hour // 1_000 + _HOUR_MS
    # An import may speak of hours that are years ahead; they do not stay for years.
    ended_ms = min(ended_ms, state.last_log_ms + 2 * _HOUR_MS)
    return max(ended_ms + _RETENTION_MS, state.last_log_ms + _IDLE_MS)


def _fresh(leaves: Sequence[Leave], applied: int) -> list[Leave]:
    """Return the leaves beyond the offset `applied`, each once."""
    fresh = []
    for leave in leaves:
        if leave.src.offset > applied:
            applied = leave.src.offset
            fresh.append(leave)
    return fresh


@lru_cache(maxsize=1_000)
def _hour_text(hour: int) -> str:
    return datetime.fromtimestamp(hour / 1_000_000, UTC).strftime("%Y-%m-%dT%HZ")


def _begin(page: Page, src: Source) -> PageDuration:
    return PageDuration(
        site_id=page.site_id,
        hour=page.hour,
        path=page.path,
        partition=src.partition,
        generation=src.offset,
        revision=0,
        src_offset=-1,
        last_log_ms=src.log_ms,
        leaves=0,
        total_ms=0,
        min_ms=0,
        max_ms=0,
        sketch=b"",
    )
