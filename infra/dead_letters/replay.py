"""Put dead letters into `events-raw` again, each for the stage that it came from (ADR 12)."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from infra.dead_letters.letter import DeadLetter, Place, replay_headers
from infra.dead_letters.read import open_letters
from infra.errors import UserError
from kafka_clients.clients import make_producer
from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_RAW

#: Records that were sent and not acknowledged yet.
_IN_FLIGHT = 200


class Choice(NamedTuple):
    """Which dead letters: those of `ids`, else all that fit, the oldest first, up to `limit`."""

    ids: Sequence[Place] = ()
    topic: str | None = None
    stage: str | None = None
    reason: str | None = None
    limit: int | None = None

    def fits(self, letter: DeadLetter) -> bool:
        """Return True if a dead letter is one of them."""
        return self.stage in (None, letter.stage) and self.reason in (None, letter.reason)


@dataclass(slots=True)
class Report:
    """What became of chosen dead letters, by stage and reason."""

    replayed: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: They were replayed before, and once more would do nothing.
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: An operator discarded them before: a replay would have no effect.
    discarded: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: No stage of ours put them there.
    strange: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: The id of the one replayed last.
    latest: Place | None = None


Look = Callable[[Report], None]
#: Sends a record: `topic`, `value` and more of `AIOKafkaProducer.send`.
Send = Callable[..., Awaitable[None]]


async def replay(
    kafka: KafkaSettings, choice: Choice, report: Report, look: Look, *, dry_run: bool
) -> None:
    """Replay what is chosen, noting it in `report`, which `look` is given after each.

    With `dry_run` nothing is sent. `UserError` when Kafka does not answer; what was sent before
    that stands in the report.
    """
    failure = "did not take all replays. Run it again: what was replayed counts once"
    letters = aclosing(unsettled(kafka, choice, report))
    async with sending(kafka, failure) as send, letters as chosen:
        async for record, letter in chosen:
            if not letter.replayable:
                report.strange[letter.stage, letter.reason] += 1
                continue
            if not dry_run:
                await send(
                    EVENTS_RAW.name,
                    record.value,
                    key=record.key,
                    # The same, for sources and `events-raw` share their numbers.
                    partition=record.partition,
                    headers=replay_headers(record, letter),
                )
            report.replayed[letter.stage, letter.reason] += 1
            report.latest = letter.id
            look(report)
            if report.replayed.total() == choice.limit:
                return


async def unsettled(
    kafka: KafkaSettings, choice: Choice, report: Report
) -> AsyncGenerator[tuple[Any, DeadLetter]]:
    """Yield chosen dead letters, each once; count in `report` those that were settled before.

    `UserError` when Kafka or an id of the choice is not there.
    """
    seen: set[str] = set()
    async with open_letters(kafka, None if choice.ids else choice.topic) as letters:
        async for record, letter in letters.find(choice.ids) if choice.ids else letters:
            if letter.name in seen or not choice.fits(letter):
                continue
            seen.add(letter.name)
            if letter.name in letters.settled.discarded:
                report.discarded[letter.stage, letter.reason] += 1
            elif letter.name in letters.settled.replayed:
                report.before[letter.stage, letter.reason] += 1
            else:
                yield record, letter


@asynccontextmanager
async def sending(kafka: KafkaSettings, failure: str) -> AsyncIterator[Send]:
    """Give a function that sends records, and return when Kafka has taken all of them.

    `UserError` that says `failure` when Kafka does not take a record.
    """
    producer = make_producer(kafka, max_request_size=4 * 1024 * 1024, request_timeout_ms=10_000)
    in_flight: list[Awaitable[object]] = []

    async def send(topic: str, value: bytes | None, **more: Any) -> None:
        in_flight.append(await producer.send(topic, value, **more))
        if len(in_flight) == _IN_FLIGHT:
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
