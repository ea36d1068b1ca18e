"""Put dead letters into `events-raw` again, each for the stage that it came from (ADR 12)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from infra.dead_letters.letter import DeadLetter, Place, replay_headers, to_letter
from infra.dead_letters.read import find, open_letters
from infra.errors import UserError
from schemas.settings import KafkaSettings
from schemas.topics import EVENTS_RAW

#: Records on the way at once.
_AT_ONCE = 200


class Choice(NamedTuple):
    """Which dead letters: those of `ids`, else all that fit, the oldest first, up to `limit`."""

    ids: Sequence[Place] = ()
    topic: str | None = None
    stage: str | None = None
    reason: str | None = None
    limit: int | None = None

    def fits(self, letter: DeadLetter) -> bool:
        """Tell whether a dead letter is one of them."""
        return self.stage in (None, letter.stage) and self.reason in (None, letter.reason)


@dataclass(slots=True)
class Report:
    """What became of dead letters, by stage and reason."""

    replayed: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: They were replayed before, and once more would do nothing.
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: No stage of ours put them there.
    strange: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: The id of the one replayed last.
    latest: Place | None = None


Look = Callable[[Report], None]


async def replay(
    kafka: KafkaSettings, choice: Choice, report: Report, look: Look, *, dry_run: bool
) -> None:
    """Replay what is chosen, noting it in `report`, which `look` is given after each.

    With `dry_run` nothing is sent. `UserError` when Kafka does not answer; what was sent before
    that stands in the report.
    """
    async with _producer(kafka) as producer:
        sent: list[asyncio.Future[Any]] = []
        async for record, letter in _chosen(kafka, choice, report):
            if not dry_run:
                sent.append(await _send(producer, record, letter))
            if len(sent) == _AT_ONCE:
                await asyncio.gather(*sent)
                sent.clear()
            report.replayed[letter.stage, letter.reason] += 1
            report.latest = letter.id
            look(report)
        await asyncio.gather(*sent)


async def _chosen(
    kafka: KafkaSettings, choice: Choice, report: Report
) -> AsyncIterator[tuple[Any, DeadLetter]]:
    """Yield what is to be replayed; note in the report what is not."""
    found = 0
    async for record, letter in _found(kafka, choice, report):
        if not letter.replayable:
            report.strange[letter.stage, letter.reason] += 1
            continue
        yield record, letter
        found += 1
        if found == choice.limit:
            return


async def _found(
    kafka: KafkaSettings, choice: Choice, report: Report
) -> AsyncIterator[tuple[Any, DeadLetter]]:
    async with open_letters(kafka, choice.topic) as letters:
        named = _named(kafka, choice.ids)
        async for record, letter in named if choice.ids else letters:
            if not choice.fits(letter):
                continue
            if letter.name in letters.replayed:
                report.before[letter.stage, letter.reason] += 1
            else:
                yield record, letter


async def _named(
    kafka: KafkaSettings, ids: Sequence[Place]
) -> AsyncIterator[tuple[Any, DeadLetter]]:
    for place in ids:
        record = await find(kafka, place)
        yield record, to_letter(record)


async def _send(producer: Any, record: Any, letter: DeadLetter) -> asyncio.Future[Any]:
    """Send into the partition of the same number, for sources and `events-raw` share them."""
    future: asyncio.Future[Any] = await producer.send(
        EVENTS_RAW.name,
        record.value,
        key=record.key,
        partition=record.partition,
        headers=replay_headers(record, letter),
    )
    return future


@asynccontextmanager
async def _producer(kafka: KafkaSettings) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        acks="all",
        max_request_size=4 * 1024 * 1024,
        request_timeout_ms=10_000,
    )
    try:
        await producer.start()
        yield producer
    except (KafkaError, OSError) as error:
        raise UserError(
            f"Kafka at {kafka.bootstrap_servers} did not take all replays: "
            f"{error or type(error).__name__}. Run it again: what was replayed counts once"
        ) from error
    finally:
        await producer.stop()
