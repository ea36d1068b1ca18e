"""headrace: all jobs, or events only."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from benchmarks.products.product import Product
from benchmarks.products.rows import Rows
from benchmarks.products.services import WithKafka, WithPostgres
from benchmarks.progress import Progress
from headrace.admin.topics import create_topics
from headrace.roles.status import why_not_ready
from schemas.kafka_settings import KafkaSettings
from sinks.sql.migrate import upgrade
from tests.e2e.stack import PARTITIONS, Stack
from tests.fixtures.waiting import eventually

_READY_SECONDS = 60
_ROLES = ("web", "streams", "live", "sinks", "kafka")
_URL = "HEADRACE_DATABASE__URL"


class AllJobs(Product):
    """`headrace up` with SQLite."""

    killed: Sequence[str] = _ROLES

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.headrace = Stack(folder / "data")
        self.port = self.headrace.port

    def start(self) -> None:
        """Start `headrace up`."""
        self.stack.callback(self.headrace.end)
        self.headrace.start()

    def rows(self) -> Rows:
        """See `Product`."""
        return Rows(self.headrace.database, "events", "event_id")

    def pids(self) -> list[int]:
        """See `Product`."""
        kafka = psutil.Process(self.headrace.pid("kafka"))
        return [*super().pids(), kafka.ppid()]

    def kill(self, name: str) -> None:
        """See `Product`; `headrace up` starts the process again."""
        if name in _ROLES:
            self.headrace.kill(name)
        else:
            super().kill(name)

    async def until_processed(self) -> None:
        """Wait until all agents and sinks have processed all records."""
        async with Progress(self.headrace) as progress:
            await progress.until_done()


class AllJobsPostgres(AllJobs, WithPostgres):
    """`headrace up` with PostgreSQL."""

    killed = ("PostgreSQL",)

    def start(self) -> None:
        """Start PostgreSQL and `headrace up`."""
        WithPostgres.start(self)
        self.headrace.settings[_URL] = self.postgres.url
        AllJobs.start(self)


class EventsOnly(WithKafka):
    """The roles `api` and `sinks` next to Kafka and PostgreSQL."""

    killed = ("api", "sinks", "Kafka", "PostgreSQL")

    def start(self) -> None:
        """Start Kafka, PostgreSQL and both roles."""
        super().start()
        kafka = KafkaSettings(bootstrap_servers=self.kafka.bootstrap, partitions=PARTITIONS)
        asyncio.run(create_topics(kafka))
        upgrade(self.postgres.url)
        values = {
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "HEADRACE_KAFKA__PARTITIONS": str(PARTITIONS),
            _URL: self.postgres.url,
            "HEADRACE_API__PORT": str(self.port),
            "HEADRACE_API__SITES": "open",
        }
        status, headrace = self.folder / "sinks.json", (sys.executable, "-m", "headrace")
        self.run("sinks", (*headrace, "sinks", "--status-file", str(status)), **values)
        self.run("api", (*headrace, "api"), **values)
        eventually(
            lambda: self._is_ready() and why_not_ready(status) is None,
            within_seconds=_READY_SECONDS,
            what="api and sinks are ready",
        )

    def rows(self) -> Rows:
        """See `Product`."""
        return Rows(self.postgres.url, "events", "event_id")

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").is_success
        except httpx.TransportError:
            return False
