"""A worker that stands still with work before it ends; one that waits or works does not."""

import pytest
from faust.types import TP

from streams.engine.watchdog import LIMIT_SECONDS, StuckError, Watchdog

PLACE, OTHER = TP("events", 0), TP("events", 1)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now


def test_work_without_progress_for_too_long_ends_the_worker() -> None:
    """Up to the limit it may be slow."""
    watchdog = Watchdog(clock := Clock())
    watchdog.look({PLACE: 5, OTHER: 9}, {PLACE: 8, OTHER: 9})
    clock.now = LIMIT_SECONDS
    watchdog.look({PLACE: 5, OTHER: 9}, {PLACE: 90, OTHER: 9})

    clock.now += 1
    with pytest.raises(StuckError, match="events/0 has records up to 90 and stands at 5"):
        watchdog.look({PLACE: 5, OTHER: 9}, {PLACE: 90, OTHER: 9})


@pytest.mark.parametrize(
    ("done", "ends"),
    [({PLACE: 6}, {PLACE: 8}), ({PLACE: 8}, {PLACE: 8}), ({}, {}), ({PLACE: 5}, {})],
    ids=["it moved", "no work", "it went away", "the end is not known"],
)
def test_the_limit_begins_anew(done: dict[TP, int], ends: dict[TP, int]) -> None:
    """Progress, no work, no partition, no answer: none of them is standing still."""
    watchdog = Watchdog(clock := Clock())
    watchdog.look({PLACE: 5}, {PLACE: 8})
    clock.now = LIMIT_SECONDS
    watchdog.look(done, ends)
    clock.now += 2

    watchdog.look({PLACE: 5}, {PLACE: 8})
