"""Logs of a partition, and their processing in batches with crashes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from schemas.headers import Source
from schemas.records import RawEvent
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import MINUTE_MS, NOON_MS, source

#: A record of a routed topic: an event, or None for a tick, and its position in `events-raw`.
Logged = tuple[RawEvent | None, Source]
T = TypeVar("T")


class Step(NamedTuple):
    """A batch of `size` records. The worker crashes after `written` states, unless it is None.

    After a crash the next worker reads again from `back` records before the batch.
    """

    size: int
    written: int | None = None
    back: int = 0


def steps(back: int = 100) -> st.SearchStrategy[list[Step]]:
    """Return a strategy of batches of any size, some of which end in a crash."""
    sizes = st.integers(1, 9)
    crash = st.tuples(sizes, st.integers(0, 4), st.integers(0, back))
    return st.lists(sizes.map(Step) | crash.map(Step._make), max_size=12)


def play(
    log: Sequence[T],
    plan: Iterable[Step],
    states: FakeStates[Any],
    take_over: Callable[[], Callable[[Sequence[T]], None]],
) -> None:
    """Process the log in the batches of the plan, and its remainder as one batch.

    `take_over` is called for each worker that gets the partition: it restores the stored states
    and returns the function that processes a batch.
    """
    process, at = take_over(), 0
    for step in plan:
        batch = log[at : at + step.size]
        process(batch)
        states.write(step.written)
        at += len(batch)
        if step.written is not None:
            at = max(0, at - len(batch) - step.back)
            process = take_over()
    process(log[at:])
    states.write()


class Shape(NamedTuple):
    """Parameters of logs: intervals between log times, length, number of repeated blocks.

    Most logs have few records more than `at_least`, whatever their maximal `size`.
    """

    waits_ms: Sequence[int] = (0, 1, 1_000, MINUTE_MS, 10 * MINUTE_MS, 40 * MINUTE_MS)
    size: int = 25
    repeats: int = 2
    partitions: int = 1
    at_least: int = 1


_USUAL = Shape()


@st.composite
def logs(
    draw: st.DrawFn,
    events: st.SearchStrategy[Callable[[int], RawEvent]],
    shape: Shape = _USUAL,
) -> list[Logged]:
    """Return a strategy of logs with events and ticks, in which some blocks are repeated.

    `events` are functions that create an event from its number, which is unique in the log.
    """
    made = draw(st.lists(st.none() | events, min_size=shape.at_least, max_size=shape.size))
    log: list[Logged] = []
    log_ms, next_offset = NOON_MS, [0] * shape.partitions
    for index, make in enumerate(made):
        log_ms += draw(st.sampled_from(shape.waits_ms))
        partition = draw(st.integers(0, shape.partitions - 1))
        log.append(
            (
                None if make is None else make(index),
                source(next_offset[partition], log_ms, partition),
            )
        )
        # Offsets have gaps because of other keys and transactions.
        next_offset[partition] += draw(st.integers(1, 3))
    for _ in range(draw(st.integers(0, shape.repeats))):
        begin = draw(st.integers(0, len(log) - 1))
        end = draw(st.integers(begin + 1, len(log)))
        log[end:end] = log[begin:end]
    return log


def events_of(log: Iterable[Logged]) -> list[tuple[RawEvent, Source]]:
    """Return the log without its ticks."""
    return [(event, src) for event, src in log if event is not None]
