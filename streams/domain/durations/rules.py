"""Time on page: page leaves aggregated by site, hour of event time and path.

A row is absolute: count, sum, minimum, maximum and a quantile sketch. An event after the state was
deleted starts a new generation with its own row, so that sums stay exact (design D5).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from schemas import sketch
from schemas.headers import Source
from schemas.paths import path_of
from schemas.records import PageDuration, RawEvent
from streams.domain.durations.candidate_paths import CandidatePaths

#: Longer durations count as this: they are pages left open in a background tab.
MAX_DURATION_MS = 6 * 3_600_000
#: Limit of paths per site, hour and partition; further paths are aggregated as `(other)`.
MAX_PATHS = 2_000
#: Additional paths that several sessions left, so that invented paths cannot use them up.
MAX_CONFIRMED_PATHS = 2_000
OTHER_PATHS = "(other)"

_HOUR_US = 3_600_000_000
_HOUR_MS = 3_600_000
#: Grace period of late events, after the end of their hour.
_RETENTION_MS = 26 * _HOUR_MS
#: Retention of the hours of an import, after their last event.
_IDLE_MS = _HOUR_MS


class Page(NamedTuple):
    """The key of an aggregate: site, start of the hour (us, UTC) and path."""

    site_id: str
    hour: int
    path: str


class Leave(NamedTuple):
    """One page leave: the duration (ms), and the source of its event."""

    duration_ms: int
    src: Source


def page_of(event: RawEvent) -> Page:
    """Return the page and hour of a page leave."""
    return Page(
        event.site_id, event.event_ts - event.event_ts % _HOUR_US, path_of(event.path, event.url)
    )


def key_of(partition: int, page: Page | PageDuration) -> bytes:
    """Return the key of a page in the table and its topic."""
    return f"{partition}:{page.site_id}:{_hour_text(page.hour)}:{page.path}".encode()


def bounded(
    page: Page, session_id: str, paths: int, candidates: Callable[[], CandidatePaths]
) -> Page:
    """Return the page, or `(other)` of its hour if a new row would exceed the limit.

    `paths` is the number of paths of the page's site and hour. Beyond the limit, a path gets a row
    once a second session leaves it.
    """
    if paths < MAX_PATHS:
        return page
    is_confirmed = candidates().is_confirmed(page.path, session_id)
    if is_confirmed and paths < MAX_PATHS + MAX_CONFIRMED_PATHS:
        return page
    return page._replace(path=OTHER_PATHS)


def add(state: PageDuration | None, page: Page, leaves: Sequence[Leave]) -> PageDuration:
    """Return the state including the leaves; unchanged if all were applied before.

    The leaves are of one partition, in order, possibly with duplicates.
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
        # Per leave, not per batch: of two workers with different batches, the row with more leaves
        # must win.
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
    # An import may contain hours that are years ahead; they are not kept for years.
    ended_ms = min(ended_ms, state.last_log_ms + 2 * _HOUR_MS)
    return max(ended_ms + _RETENTION_MS, state.last_log_ms + _IDLE_MS)


def _fresh(leaves: Sequence[Leave], applied: int) -> list[Leave]:
    """Return the leaves after the offset `applied`, without duplicates."""
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
