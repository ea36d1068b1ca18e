"""The limits of page durations, one row at a time."""

import pytest

from streams.domain.durations import rules
from streams.domain.durations.candidate_paths import CandidatePaths
from streams.domain.durations.rules import Page
from tests.unit.streams.samples import NOON, NOON_MS, event, source


def test_a_leave_without_a_path_counts_for_the_path_of_its_url() -> None:
    """Without its query."""
    page = rules.page_of(event("a", path=None, url="https://shop.example/cart?x=1"))

    assert page.path == "/cart"


@pytest.mark.parametrize(("free", "path"), [(1, "/new"), (0, rules.OTHER_PATHS)])
def test_the_number_of_confirmed_paths_is_limited(free: int, path: str) -> None:
    """Further ones are aggregated as `(other)`, whatever the number of sessions."""
    candidates = CandidatePaths()
    candidates.is_confirmed("/new", "s-1")
    paths = rules.MAX_PATHS + rules.MAX_CONFIRMED_PATHS - free

    bounded = rules.bounded(Page("shop", NOON, "/new"), "s-2", paths, lambda: candidates)

    assert bounded == Page("shop", NOON, path)


def test_the_last_log_time_is_the_highest() -> None:
    """Of all leaves, also if the clock of the broker goes back."""
    page = rules.page_of(event(1))
    leaves = [rules.Leave(1, source(1, NOON_MS + 5)), rules.Leave(1, source(2, NOON_MS + 3))]
    state = rules.add(None, page, leaves)
    assert state.last_log_ms == NOON_MS + 5

    assert rules.add(state, page, [rules.Leave(1, source(3))]).last_log_ms == NOON_MS + 5
    later = rules.add(state, page, [rules.Leave(1, source(3, NOON_MS + 9))])
    assert (later.last_log_ms, later.leaves, later.src_offset) == (NOON_MS + 9, 3, 3)


def test_a_first_leave_of_no_duration_counts() -> None:
    """The revision is the number of leaves, and nothing else than zero was measured."""
    state = rules.add(None, rules.page_of(event(1)), [rules.Leave(0, source(7))])

    assert (state.revision, state.leaves, state.generation, state.src_offset) == (1, 1, 7, 7)
    assert (state.min_ms, state.max_ms, state.total_ms) == (0, 0, 0)
