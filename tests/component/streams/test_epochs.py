"""Routed events of earlier epochs are skipped: they were applied before the epoch began."""

from schemas.codec import decode
from schemas.headers import SOURCE, Source
from schemas.positions import position
from schemas.records import SessionState
from schemas.topics import SESSIONS
from streams.agents import sessionize
from tests.component.streams.bench import Bench, InRecord, raw_record
from tests.unit.streams.samples import NOON_MS, RULES, event


def _routed(offset: int, name: str, at: int) -> InRecord:
    return raw_record(offset, event(name), (SOURCE, Source(0, at, NOON_MS).pack()))


async def test_an_event_of_an_earlier_epoch_is_not_applied_again() -> None:
    """Without a state, too: the state is in another partition now."""
    bench = Bench(lambda worker: sessionize.register(worker, RULES), epoch=1)
    await bench.assign(0)

    await bench.run_batch(_routed(0, "a", position(0, 9)), _routed(1, "b", position(1, 0)))

    [(_, state)] = bench.written(SESSIONS)
    assert [visit.events for visit in decode(state or b"", SessionState).visits] == [1]
