"""Bento: one process from HTTP to Kafka, and one from Kafka to PostgreSQL."""

from collections.abc import Container, Sequence
from pathlib import Path

import httpx
import msgspec

from benchmarks.products.go_module import GoModule
from benchmarks.products.load import post
from benchmarks.products.product import Event
from benchmarks.products.rows import Rows
from benchmarks.products.services import WithKafka
from benchmarks.products.tables import create_events_table
from benchmarks.products.topics import create_topic
from tests.fixtures.waiting import eventually

_FILES = Path(__file__).parents[1] / "peers" / "bento"
MODULE = GoModule(
    "github.com/warpstreamlabs/bento",
    "v1.20.0",
    "./cmd/peer",
    "BENCH_BENTO",
    {"cmd/peer/main.go": _FILES / "main.go"},
)
_TOPIC = "events"
_READY_SECONDS = 30


class Bento(WithKafka):
    """Its `http_server`, `kafka_franz` and `sql_insert`, with at-least-once delivery."""

    killed = ("http", "sink", "Kafka", "PostgreSQL")
    #: A killed consumer keeps its partitions for 45 s, which cannot be configured.
    settle_seconds = 60.0

    def start(self) -> None:
        """Build it, and start Kafka, PostgreSQL and both processes."""
        program = str(MODULE.program())
        super().start()
        create_topic(self.kafka.bootstrap, _TOPIC)
        create_events_table(self.postgres.url)
        values = {
            "PORT": str(self.port),
            "KAFKA": self.kafka.bootstrap,
            "TOPIC": _TOPIC,
            "DSN": f"{self.postgres.url}?sslmode=disable",
        }
        for name in ("http", "sink"):
            self.run(name, (program, "-c", str(_FILES / f"{name}.yaml")), **values)
        eventually(self._listens, within_seconds=_READY_SECONDS, what="Bento listens")

    def rows(self) -> Rows:
        """See `Product`."""
        return Rows(self.postgres.url, "events", "event_id")

    def request(self, events: Sequence[Event], _: Container[str]) -> bytes:
        """See `Product`."""
        return post("/api/events", msgspec.json.encode(events), {})

    def _listens(self) -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{self.port}/api/events").status_code)
        except httpx.TransportError:
            return False
