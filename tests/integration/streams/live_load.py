"""The process of the role `live`, the events of its source topic, and its counters."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.codec import decode, encode
from schemas.headers import SOURCE, TYPE, Source
from schemas.records import LiveCounters
from schemas.topics import EVENTS_SESSION, LIVE_COUNTERS
from tests.fixtures.waiting import eventually, eventually_async
from tests.unit.streams.live_recount import Counted, numbers_of, recount
from tests.unit.streams.samples import event

PARTITIONS = 4
SITES = ("shop", "blog")


class LiveRole:
    """`headrace live` as a process."""

    def __init__(self, load: "Load", folder: Path) -> None:
        self._settings = {
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": load.bootstrap,
            "HEADRACE_KAFKA__TOPIC_PREFIX": load.prefix,
            "HEADRACE_KAFKA__PARTITIONS": str(PARTITIONS),
        }
        self._log = folder / "live.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        before = self._ready_lines()
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "headrace", "live"],
                env=os.environ | self._settings,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        eventually(
            lambda: self._ready_lines() > before, within_seconds=60, what="the role is ready"
        )

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """Stop the process with SIGTERM, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(40)

    def _ready_lines(self) -> int:
        return self._log.read_text().count("live: ready") if self._log.exists() else 0


@contextmanager
def live_role(load: "Load", folder: Path) -> Iterator[LiveRole]:
    """Yield a role that is not started, and kill its process after the test."""
    role = LiveRole(load, folder)
    try:
        yield role
    finally:
        with suppress(AssertionError):
            role.kill()


class Load:
    """Routed events, with a ledger for each partition."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._places = [TopicPartition(LIVE_COUNTERS.name, n) for n in range(PARTITIONS)]
        self.ledger: list[list[Counted]] = [[] for _ in range(PARTITIONS)]
        self._random = Random(4)  # noqa: S311 - a test's choice

    async def send(self, events: int, age_ms: int = 0, repeats: int = 0) -> None:
        """Send events of random sessions, then the last `repeats` of each partition again."""
        for number in range(events):
            now_ms = int(time.time() * 1_000) - age_ms
            user = self._random.randrange(200)
            one = event(
                number,
                site_id=self._random.choice(SITES),
                session_id=f"s-{user}",
                visitor_id=f"v-{user // 2}",
                type=self._random.choice(("pageview", "pageleave", "error")),
                path=f"/{self._random.randrange(5)}",
                referrer=self._random.choice((None, "https://search.example/")),
            )
            partition = user % PARTITIONS
            src = Source(partition, len(self.ledger[partition]), now_ms)
            self.ledger[partition].append((one, src))
        again = [one for part in self.ledger for one in part[-repeats:]] if repeats else []
        sent = [one for part in self.ledger for one in part]
        sent = sorted(sent, key=lambda one: one[1].log_ms)[-events:]
        await self._write([*sent, *again])

    async def _write(self, records: Sequence[Counted]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all") as producer:
            futures = [
                await producer.send(
                    EVENTS_SESSION.name,
                    encode(one),
                    f"{one.site_id}:{one.session_id}".encode(),
                    src.partition,
                    timestamp_ms=src.log_ms,
                    headers=[(TYPE, one.type.encode()), (SOURCE, src.pack())],
                )
                for one, src in records
            ]
            await asyncio.gather(*futures)

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the end offsets of `live-counters`."""
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(self._places)
        return ends

    async def published(self, since: dict[TopicPartition, int] | None = None) -> list[LiveCounters]:
        """Return the published records, in order per partition."""
        found: list[LiveCounters] = []
        begins, ends = since or dict.fromkeys(self._places, 0), await self.ends()
        if begins == ends:  # aiokafka cannot stop a consumer that it has hardly started
            return found
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            consumer.assign(self._places)
            for place in self._places:
                consumer.seek(place, begins[place])
            while any([await consumer.position(place) < ends[place] for place in self._places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    values = (record.value for record in records if record.value is not None)
                    found += [decode(value, LiveCounters) for value in values]
        return found

    def is_right(self, counters: LiveCounters) -> bool:
        """Return True if a record equals a recount of the ledger at its time."""
        ledger = self.ledger[counters.partition]
        return numbers_of(counters) == recount(ledger, counters.site_id, counters.at_ms)

    async def settle(self) -> None:
        """Wait until the last record of each site and partition equals a recount of all events."""

        async def is_settled() -> bool:
            newest = {(one.site_id, one.partition): one for one in await self.published()}
            return len(newest) == len(SITES) * PARTITIONS and all(
                one.minutes and self.is_right(one) for one in newest.values()
            )

        await eventually_async(is_settled, within_seconds=30, what="the counters are a recount")
