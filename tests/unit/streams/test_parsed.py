from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.engine.parsed import hand_out_parsed

_PLACE = TopicPartition("topic", 3)


class _Assignment:
    """A partition that is read, from its beginning."""

    active = True

    def state_value(self, _: TopicPartition) -> Any:
        return SimpleNamespace(paused=False, position=0, consumed_to=lambda _: None)


def a_result() -> FetchResult:
    """Return what aiokafka makes of a fetch with two records and a tombstone."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 10_000)
    for n, value in enumerate((b"one", b"two", None)):
        builder.append(n, 1_000 + n, key=b"k", value=value, headers=[("n", b"%d" % n)])
    records = MemoryRecords(bytes(builder.build()))
    parsed = PartitionRecords(_PLACE, records, None, 0, None, None, True, READ_UNCOMMITTED)
    return FetchResult(_PLACE, assignment=_Assignment(), partition_records=parsed, backoff=0)


def handed_out(result: Any) -> Any:
    """Return what a fetcher then holds, as the one result of a partition."""
    fetcher = SimpleNamespace(_records=OrderedDict())
    hand_out_parsed(fetcher)
    held = vars(fetcher)["_records"]
    held[_PLACE] = result
    return held[_PLACE]


def test_records_are_handed_out_as_they_were_parsed() -> None:
    """With all that agents read, and no `ConsumerRecord` made of them."""
    records = handed_out(a_result()).getall()

    assert not any(isinstance(record, ConsumerRecord) for record in records)
    assert [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in records] == [
        (0, 1_000, b"k", b"one", [("n", b"0")]),
        (1, 1_001, b"k", b"two", [("n", b"1")]),
        (2, 1_002, b"k", None, [("n", b"2")]),
    ]


def test_an_error_is_kept_as_it_is() -> None:
    """What could not be fetched is told when it is asked for."""
    error = FetchError(error=OSError("gone"), backoff=0)

    assert handed_out(error) is error
