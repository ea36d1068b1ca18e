"""Replay dead letters: send them to `events-raw`, for the stage that rejected them (ADR 12)."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from headrace.errors import UserError
from headrace.ops.dead_letters.dead_letter import DeadLetter, RecordId, replay_headers
from headrace.ops.dead_letters.reader import open_reader
from kafka_clients.clients import make_producer
from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_RAW
from streams.engine.cluster import find_epoch

#: Records sent but not acknowledged.
_MAX_IN_FLIGHT = 200


class Selection(NamedTuple):
    """Selects the dead letters `ids`, or those that match the other filters; at most `limit`."""

    ids: Sequence[RecordId] = ()
    topic: str | None = None
    stage: str | None = None
    reason: str | None = None
    limit: int | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Return True if a dead letter matches the stage and reason."""
        return self.stage in (None, letter.stage) and self.reason in (None, letter.reason)


@dataclass(slots=True)
class Report:
    """The number of selected dead letters per outcome, by stage and reason."""

    replayed: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Replayed before: another replay would have no effect.
    already_replayed: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Discarded before: a replay would have no effect.
    already_discarded: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Not written by a stage of headrace.
    foreign: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: The id of the last one that was replayed.
    latest: RecordId | None = None


OnProgress = Callable[[Report], None]
#: Sends a record; the arguments are those of `AIOKafkaProducer.send`.
Send = Callable[..., Awaitable[None]]


async def replay(
    kafka: KafkaSettings,
    selection: Selection,
    report: Report,
    on_progress: OnProgress,
    *,
    dry_run: bool,
) -> None:
    """Replay the selected dead letters; count them in `report`, and call `on_progress` with it.

    With `dry_run`, nothing is sent. Raises `UserError` if Kafka fails; `report` then contains those
    that were sent before.
    """
    failure = "did not accept all replays. Run this again: it is idempotent"
    repartitioned = bool((await find_epoch(kafka)).starts)
    letters = aclosing(select_open(kafka, selection, report))
    async with open_sender(kafka, failure) as send, letters as selected:
        async for record, letter in selected:
            if not letter.is_replayable:
                report.foreign[letter.stage, letter.reason] += 1
                continue
            if not dry_run:
                await send(
                    EVENTS_RAW.name,
                    record.value,
                    key=record.key,
                    # A source and `events-raw` have the same partitions, unless there are more
                    # partitions now: then the default partitioner chooses that of the key.
                    partition=None if repartitioned and record.key else record.partition,
                    headers=replay_headers(record, letter),
                )
            report.replayed[letter.stage, letter.reason] += 1
            report.latest = letter.id
            on_progress(report)
            if report.replayed.total() == selection.limit:
                return


async def select_open(
    kafka: KafkaSettings, selection: Selection, report: Report
) -> AsyncGenerator[tuple[Any, DeadLetter]]:
    """Yield the selected dead letters, each once; count the resolved ones in `report`.

    Raises `UserError` if Kafka fails or a selected id does not exist.
    """
    seen: set[str] = set()
    async with open_reader(kafka, None if selection.ids else selection.topic) as reader:
        async for record, letter in reader.find(selection.ids) if selection.ids else reader:
            if letter.key in seen or not selection.matches(letter):
                continue
            seen.add(letter.key)
            if letter.key in reader.resolutions.discarded:
                report.already_discarded[letter.stage, letter.reason] += 1
            elif letter.key in reader.resolutions.replayed:
                report.already_replayed[letter.stage, letter.reason] += 1
            else:
                yield record, letter


@asynccontextmanager
async def open_sender(kafka: KafkaSettings, failure: str) -> AsyncIterator[Send]:
    """Yield a function that sends records; on exit, wait until Kafka has acknowledged all.

    Raises `UserError` with the sentence `failure` if Kafka does not accept a record.
    """
    producer = make_producer(kafka, max_request_size=4 * 1024 * 1024, request_timeout_ms=10_000)
    in_flight: list[Awaitable[object]] = []

    async def send(topic: str, value: bytes | None, **options: Any) -> None:
        in_flight.append(await producer.send(topic, value, **options))
        if len(in_flight) == _MAX_IN_FLIGHT:
            await asyncio.gather(*in_flight)
            in_flight.clear()

    try:
        await producer.start()
        yield send
        await asyncio.gather(*in_flight)
    except (KafkaError, OSError) as error:
        raise UserError(
            f"Kafka at {kafka.bootstrap_servers} {failure} ({error or type(error).__name__})"
        ) from error
    finally:
        await producer.stop()
