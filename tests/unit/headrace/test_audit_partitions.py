"""A session is computed as one if its events continue in another partition in the next epoch."""

from headrace.ops.audit.sessions import ComputedSession, compute_sessions
from schemas.headers import Source
from schemas.positions import position
from schemas.records import RawEvent
from tests.unit.streams.samples import NOON_MS, RULES, event


def _compute(*places: tuple[int, int, int]) -> list[ComputedSession]:
    """Compute a session of one event per place: epoch, partition and offset."""
    events: list[tuple[RawEvent, Source]] = [
        (event(f"e{number}"), Source(partition, position(epoch, offset), NOON_MS))
        for number, (epoch, partition, offset) in enumerate(places)
    ]
    return compute_sessions(events, RULES)


def _counts(computed: list[ComputedSession]) -> dict[int, int]:
    """Return the number of events of each state by its partition."""
    return {one.partition: sum(visit.events for visit in one.visits) for one in computed}


def test_the_state_of_a_session_moves_with_the_epoch() -> None:
    """It may move back, too; the offsets of a new partition are lower."""
    assert _counts(_compute((0, 3, 500), (0, 3, 501), (1, 9, 2), (2, 3, 700))) == {3: 4}


def test_a_state_may_stay_in_its_partition() -> None:
    """Most do, if the numbers of partitions have a common divisor."""
    assert _counts(_compute((0, 3, 5), (1, 3, 6))) == {3: 2}


def test_partitions_of_one_epoch_have_their_own_states() -> None:
    """The producer used another partitioner; each state continues in its partition."""
    assert _counts(_compute((0, 1, 5), (0, 2, 5), (1, 1, 6), (1, 2, 6), (1, 2, 7))) == {1: 2, 2: 3}
