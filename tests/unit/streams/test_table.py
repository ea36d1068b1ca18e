from collections.abc import Sequence
from typing import Any

import pytest

from schemas.kafka_settings import KafkaSettings
from schemas.topics import ALERT_STATES
from streams.engine.producer import OutRecord
from streams.engine.table import BatchTable
from streams.engine.worker import Worker
from tests.component.streams.bench import InRecord, NotingProducer


def a_table() -> BatchTable[str]:
    """Return a table whose states are texts."""
    worker = Worker("bench", KafkaSettings())
    return worker.raw_table(ALERT_STATES, str.encode, lambda value: value.decode())


async def write(table: BatchTable[str], offset: int, partition: int = 0) -> list[OutRecord]:
    """Write the staged states as a batch that ends at `offset`; return the sent records."""
    producer: Any = NotingProducer()
    await table.write_staged(partition, offset, producer)
    return [out for outs in producer.sent.values() for out in outs]


async def stored(table: BatchTable[str], partition: int = 0) -> dict[bytes, str]:
    """Return the states of a partition."""
    return {key: state async for key, state in table.stored(partition)}


async def test_a_batch_sees_staged_states_and_others_see_written_ones() -> None:
    """Only the last state of a key is written."""
    table = a_table()
    states = table.of(0)
    states.put(b"a", "1")
    states.put(b"a", "2")

    assert (states.get(b"a"), states.is_changed(b"a")) == ("2", True)
    assert await stored(table) == {}
    assert [out[:2] for out in await write(table, 5)] == [(b"a", b"2")]
    assert (states.get(b"a"), states.is_changed(b"a")) == ("2", False)
    assert await write(table, 6) == []


async def test_partitions_are_independent() -> None:
    """They may contain the same keys."""
    table = a_table()
    table.of(0).put(b"a", "zero")
    await write(table, 1)
    table.of(1).put(b"a", "one")
    await write(table, 1, partition=1)

    assert (table.of(0).get(b"a"), table.of(1).get(b"a")) == ("zero", "one")
    assert table.of(2).get(b"a") is None


async def test_a_key_is_not_deleted_in_the_batch_that_changed_it() -> None:
    """Its last value must be published first."""
    table = a_table()
    states = table.of(0)
    states.put(b"a", "1")
    with pytest.raises(RuntimeError, match="changed and deleted in one batch"):
        states.delete(b"a")
    await write(table, 1)

    states.delete(b"a")
    assert states.get(b"a") is None
    assert [out[:2] for out in await write(table, 2)] == [(b"a", None)]
    assert await stored(table) == {}


async def test_discarded_states_have_no_effect() -> None:
    """The circuit breaker discards a batch."""
    table = a_table()
    table.of(0).put(b"a", "1")
    table.discard_staged(0)

    assert table.of(0).get(b"a") is None
    assert await write(table, 1) == []


async def test_states_that_could_not_be_sent_are_not_stored() -> None:
    """The worker stops, and the next one replays the batch."""
    table = a_table()
    table.of(0).put(b"a", "1")

    class Failing:
        async def send(self, *_: object) -> None:
            raise ConnectionError("gone")

    failing: Any = Failing()
    with pytest.raises(ConnectionError, match="gone"):
        await table.write_staged(0, 1, failing)

    assert await stored(table) == {}


def fetched(*records: OutRecord) -> list[InRecord]:
    """Return a fetch of the changelog."""
    return [InRecord(n, *one[:2], tuple(one[2])) for n, one in enumerate(records)]


async def writes(*offsets: int) -> list[OutRecord]:
    """Return the records of a key, written by a new worker in each batch."""
    found = []
    for offset in offsets:
        table = a_table()
        table.of(0).put(b"a", f"of {offset}")
        found += await write(table, offset)
    return found


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 1, 2), (1, 2, 2)])
async def test_recovery_keeps_the_value_with_the_highest_version(order: tuple[int, ...]) -> None:
    """The last record may come from a zombie worker."""
    table = a_table()
    for record in await writes(*order):
        table.recover(0, fetched(record))

    assert await stored(table) == {b"a": "of 2"}


async def test_recovery_skips_records_that_are_not_states(caplog: pytest.LogCaptureFixture) -> None:
    """Records of other producers neither replace a state nor stop the worker."""
    (state,) = await writes(5)
    table = a_table()
    garbage = [OutRecord(key, b"\xff\xfe", ()) for key in (b"a", b"b")]
    table.recover(0, fetched(state, *garbage))

    assert await stored(table) == {b"a": "of 5"}
    assert table.of(0).get(b"b") is None
    assert "alert-states/0: dropped a record that is not a state" in caplog.text


async def test_recovery_deletes_what_was_deleted() -> None:
    """Unless the tombstone has a lower version than the value."""
    (late,) = await writes(5)
    table = a_table()
    table.of(0).delete(b"a")
    (tombstone,) = await write(table, 3)

    for order, expected in (
        ((tombstone, late), {b"a": "of 5"}),
        ((late, tombstone), {b"a": "of 5"}),
    ):
        table = a_table()
        table.recover(0, fetched(*order))
        assert await stored(table) == expected
    table = a_table()
    table.recover(0, fetched(OutRecord(b"a", b"old"), tombstone))
    assert await stored(table) == {}


async def test_the_next_worker_writes_higher_versions() -> None:
    """Also if it starts at an earlier offset: its records win over those before."""
    (late,) = await writes(50)
    table = a_table()
    table.recover(0, fetched(late))
    table.of(0).put(b"a", "mine")
    (mine,) = await write(table, 7)

    other = a_table()
    other.recover(0, fetched(late, mine))
    assert await stored(other) == {b"a": "mine"}


async def test_the_states_of_a_revoked_partition_are_dropped() -> None:
    """They are read again if it returns. Other partitions keep theirs."""
    table = a_table()
    for partition in (0, 1):
        table.of(partition).put(b"a", "here")
        await write(table, 1, partition)

    table.retain([1, 2])

    assert (await stored(table), await stored(table, 1)) == ({}, {b"a": "here"})


class _Changelog:
    """A changelog partition with other writers."""

    def __init__(self, end: int) -> None:
        self.end = end

    async def send(self, _topic: str, _partition: int, records: Sequence[OutRecord]) -> int:
        """Append records; return the end offset."""
        self.end += len(records)
        return self.end


async def test_a_changelog_with_records_of_another_worker_is_read_again() -> None:
    """Before or after the last write of this worker."""
    table, changelog = a_table(), _Changelog(end=1)
    producer: Any = changelog
    assert not table.is_complete(0, 0)
    table.recover(0, fetched(OutRecord(b"a", b"1")))
    table.end_recovery(0, 1)
    assert table.is_complete(0, 1)

    table.of(0).put(b"a", "2")
    await table.write_staged(0, 1, producer)
    assert (table.is_complete(0, 2), table.is_complete(0, 3)) == (True, False)

    changelog.end += 1
    table.of(0).put(b"a", "3")
    await table.write_staged(0, 2, producer)
    assert not table.is_complete(0, changelog.end)
    table.of(0).put(b"a", "4")
    await table.write_staged(0, 3, producer)
    assert not table.is_complete(0, changelog.end)


async def test_a_recovery_starts_without_states() -> None:
    """Previous states are read again, also those that this worker wrote, and has decoded."""
    table = a_table()
    table.recover(0, fetched(OutRecord(b"a", b"1")))
    table.end_recovery(0, 1)
    table.of(0).put(b"b", "2")
    await write(table, 1)

    table.begin_recovery(0)
    assert (table.is_complete(0, 1), await stored(table)) == (False, {})
    assert [table.of(0).get(key) for key in (b"a", b"b")] == [None, None]
