"""The stack as people write it by hand: FastAPI, aiokafka, fastavro, Faust, SQLModel."""

import sys

import httpx

from benchmarks.process import ROOT
from benchmarks.products.rows import Rows
from benchmarks.products.services import WithKafka
from benchmarks.products.tables import create_events_table
from benchmarks.products.topics import create_topic
from tests.fixtures.waiting import eventually

_TOPIC = "events"
_READY_SECONDS = 60


class Handwritten(WithKafka):
    """`peers/tutorial.py` and `peers/visits.py`: events and sessions in PostgreSQL."""

    is_slow = True
    killed = ("http", "worker", "Kafka", "PostgreSQL")

    def start(self) -> None:
        """Start Kafka, PostgreSQL and both processes."""
        super().start()
        create_topic(self.kafka.bootstrap, _TOPIC)
        create_events_table(self.postgres.url)
        values = {
            "KAFKA": self.kafka.bootstrap,
            "TOPIC": _TOPIC,
            "DATABASE": self.postgres.url.replace("://", "+asyncpg://"),
            "PYTHONPATH": str(ROOT),
            "DATA": str(self.folder / "faust"),
        }
        self.run("worker", (sys.executable, "-m", "benchmarks.peers.visits"), **values)
        uvicorn = (sys.executable, "-m", "uvicorn", "benchmarks.peers.tutorial:app")
        options = ("--port", str(self.port), "--no-access-log", "--log-level", "warning")
        self.run("http", (*uvicorn, *options), **values)
        eventually(self._listens, within_seconds=_READY_SECONDS, what="FastAPI listens")

    def rows(self) -> Rows:
        """See `Product`."""
        return Rows(self.postgres.url, "events", "event_id")

    def _listens(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/docs").is_success
        except httpx.TransportError:
            return False
