"""The limit of the memory for states, which the partitions of a worker share."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.kafka_settings import KafkaSettings
from schemas.topics import ALERT_STATES
from streams.engine.capacity import Capacity
from streams.engine.partition_states import STATE_OVERHEAD_BYTES
from streams.engine.table import BatchTable
from streams.engine.worker import Worker


def a_worker(max_bytes: int) -> tuple[Worker, BatchTable[bytes]]:
    """Return a worker with a table whose states are bytes."""
    worker = Worker("bench", KafkaSettings(), capacity=Capacity(1_000, max_bytes))
    return worker, worker.raw_table(ALERT_STATES, bytes, bytes)


def fill(table: BatchTable[bytes], partition: int, sizes: list[int]) -> Any:
    """Store states of these sizes in a partition; return the partition's states."""
    states = table.of(partition)
    states.apply({b"%d" % number: b"x" * size for number, size in enumerate(sizes)}, 1)
    return states


def test_the_size_is_the_sum_of_all_stored_states() -> None:
    """After updates, deletions, and a reassignment to another worker."""
    _, table = a_worker(1)
    states = fill(table, 0, [10, 20])
    assert states.size_bytes == 32 + 2 * STATE_OVERHEAD_BYTES
    states.apply({b"0": b"xx", b"1": None, b"none": None}, 2)
    assert states.size_bytes == 3 + STATE_OVERHEAD_BYTES
    states.drop(b"0")
    assert states.size_bytes == 0
    fill(table, 0, [10])
    states.clear()
    assert states.size_bytes == 0


def test_states_below_the_byte_limit_are_bounded_by_count_only() -> None:
    """The limit is the setting `max_states`."""
    worker, table = a_worker(1_000_000)
    assert worker.capacity.limit_of(fill(table, 0, [2_000] * 400)) == 1_000


def test_a_partition_with_large_states_evicts_and_others_do_not() -> None:
    """A partition with larger states keeps fewer of them."""
    worker, table = a_worker(1_000_000)
    small = fill(table, 0, [500] * 300)
    large = fill(table, 1, [39_000] * 100)

    assert worker.capacity.limit_of(small) == 1_000
    assert worker.capacity.limit_of(large) == 20


@given(st.lists(st.lists(st.integers(0, 3_000), max_size=30), min_size=1, max_size=5))
def test_the_limits_of_all_partitions_add_up_to_the_byte_limit(sizes: list[list[int]]) -> None:
    """At most, and to most of it if their states have the same size."""
    worker, table = a_worker(20_000)
    parts = [fill(table, n, [max(some, default=0)] * len(some)) for n, some in enumerate(sizes)]
    total = sum(part.size_bytes for part in parts)
    kept = 0.0
    for part in parts:
        limit = min(worker.capacity.limit_of(part), len(part))
        kept += part.size_bytes * limit / len(part) if len(part) else 0

    assert kept <= 20_001
    assert kept >= min(total, 20_000) - 5 * (3_000 + STATE_OVERHEAD_BYTES + 2)
