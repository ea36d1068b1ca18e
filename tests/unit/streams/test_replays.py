"""A replayed dead letter has its effect once."""

from schemas.records import Replay
from streams.domain.routing.replays import KEPT_MS, ReplayRegistry
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import NOON_MS, source

_ORIGIN = "events-raw/0/7"


def test_a_second_replay_of_a_dead_letter_is_a_duplicate() -> None:
    """For the same stage; a dead letter of another stage is another one."""
    aggregator = ReplayRegistry(FakeStates(Replay))

    assert not aggregator.is_repeat("sessionize", _ORIGIN, source(20))
    assert aggregator.is_repeat("sessionize", _ORIGIN, source(21))
    assert not aggregator.is_repeat("aggregate_durations", _ORIGIN, source(22))
    assert not aggregator.is_repeat("sessionize", "events-raw/0/8", source(23))


def test_a_replay_record_passes_again_after_a_crash() -> None:
    """It has the same offset, and its output may not have been sent."""
    aggregator = ReplayRegistry(FakeStates(Replay))

    assert not aggregator.is_repeat("sessionize", _ORIGIN, source(20))
    assert not aggregator.is_repeat("sessionize", _ORIGIN, source(20))


def test_replays_expire_with_their_dead_letters() -> None:
    """Also after a takeover; never in the batch that created the state."""
    states = FakeStates(Replay)
    aggregator = ReplayRegistry(states)
    aggregator.is_repeat("sessionize", _ORIGIN, source(20))
    aggregator.end_batch(NOON_MS + 2 * KEPT_MS)
    states.write()
    assert len(states.stored()) == 1
    successor = ReplayRegistry(states)
    for key, replay in states.stored().items():
        successor.restore(key, replay)

    successor.end_batch(NOON_MS + KEPT_MS)
    states.write()
    assert len(states.stored()) == 1
    successor.end_batch(NOON_MS + KEPT_MS + 1_000)
    states.write()
    assert states.stored() == {}


def test_a_replay_of_this_batch_is_kept_and_expires_later() -> None:
    """Without a restart: its state may be written before the next `end_batch`."""
    states = FakeStates(Replay)
    aggregator = ReplayRegistry(states)
    aggregator.is_repeat("sessionize", _ORIGIN, source(20))
    aggregator.end_batch(NOON_MS + 2 * KEPT_MS)
    states.write()

    aggregator.end_batch(NOON_MS + 3 * KEPT_MS)
    assert states.staged == {}
    aggregator.end_batch(NOON_MS + 3 * KEPT_MS + 1_000)
    states.write()
    assert states.stored() == {}
