"""Kafka clients of commands: their errors, and reads of single records, with fake clients."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from headrace.admin import clients
from headrace.errors import KafkaProblemError, UserError
from schemas.kafka_settings import KafkaSettings

_KAFKA = KafkaSettings(bootstrap_servers="kafka.example:9092")
_TP = TopicPartition("events-raw", 0)


class _Client:
    """An admin client or consumer that records whether it was closed."""

    def __init__(self, start_error: Exception | None = None) -> None:
        self._start_error = start_error
        self.is_closed = False

    async def start(self) -> None:
        """Raise the error, if any."""
        if self._start_error is not None:
            raise self._start_error

    async def close(self) -> None:
        """Close an admin client."""
        self.is_closed = True

    stop = close


class _Log(_Client):
    """A consumer of one partition, whose records are their offsets."""

    def __init__(self, offsets: list[int], end: int) -> None:
        super().__init__()
        self._offsets = offsets
        self._end = end
        self._position = 0

    async def beginning_offsets(self, _: object) -> dict[TopicPartition, int]:
        """Return the offset of the first record."""
        return {_TP: min(self._offsets, default=self._end)}

    async def end_offsets(self, _: object) -> dict[TopicPartition, int]:
        """Return the end offset."""
        return {_TP: self._end}

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Accept only the partition."""
        assert partitions == [_TP]

    def seek(self, _: object, offset: int) -> None:
        """Set the position."""
        self._position = offset

    async def getone(self, _: object) -> int:
        """Return the first record at or after the position."""
        return min(offset for offset in self._offsets if offset >= self._position)


def _use(monkeypatch: pytest.MonkeyPatch, admin: _Client, consumer: _Client) -> None:
    monkeypatch.setattr(clients, "make_admin", lambda *_, **__: admin)
    monkeypatch.setattr(clients, "make_consumer", lambda *_, **__: consumer)


async def _fail_in_block(error: Exception) -> None:
    async with clients.open_clients(_KAFKA, "Run this again"):
        raise error


async def test_an_unreachable_cluster_is_an_error_with_the_address(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """The admin client is closed, and the consumer is not started."""
    admin, consumer = _Client(KafkaConnectionError()), _Client()
    _use(monkeypatch, admin, consumer)
    address = f"127.0.0.1:{unused_tcp_port}"

    with pytest.raises(UserError, match=f"No Kafka broker responds at {address}"):
        async with clients.open_clients(KafkaSettings(bootstrap_servers=address)):
            pass

    assert (admin.is_closed, consumer.is_closed) == (True, False)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KafkaConnectionError("gone"), r"Kafka at kafka\.example:9092 failed: .*gone.*again$"),
        (TimeoutError(), r"Kafka at kafka\.example:9092 failed: it does not respond\. Run this"),
    ],
)
async def test_a_failure_ends_with_the_advice(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    """Both clients are closed."""
    admin, consumer = _Client(), _Client()
    _use(monkeypatch, admin, consumer)

    with pytest.raises(UserError, match=message):
        await _fail_in_block(error)

    assert (admin.is_closed, consumer.is_closed) == (True, True)


async def test_denied_access_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the topic instead of the error of the client."""
    _use(monkeypatch, _Client(), _Client())

    with pytest.raises(KafkaProblemError, match="events-raw"):
        await _fail_in_block(TopicAuthorizationFailedError({"events-raw"}))


async def test_other_errors_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug keeps its traceback."""
    _use(monkeypatch, _Client(), _Client())

    with pytest.raises(ZeroDivisionError):
        await _fail_in_block(ZeroDivisionError())


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, 3), (3, 3), (4, 7), (8, None), (9, None)],
    ids=["expired", "exact", "compacted", "at the end", "after the end"],
)
async def test_the_first_record_from_an_offset_on_is_read(offset: int, expected: Any) -> None:
    """The partition has records at the offsets 3 and 7, and ends at 8."""
    assert await clients.read_record(_Log([3, 7], 8), _TP, offset) == expected


async def test_an_empty_partition_has_no_record() -> None:
    """Its records have expired: it begins at its end offset."""
    assert await clients.read_record(_Log([], 8), _TP, 2) is None
