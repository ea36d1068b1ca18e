"""Kafka and PostgreSQL next to a product that does not start them itself."""

from pathlib import Path

from benchmarks.products.product import Product
from headrace.local.broker.local_kafka import LocalKafka
from tests.fixtures.postgres import LocalPostgres


class WithPostgres(Product):
    """A product that stores in PostgreSQL, which counts as one of its processes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.postgres = LocalPostgres()

    def start(self) -> None:
        """Start PostgreSQL."""
        self.stack.enter_context(self.postgres)

    def pids(self) -> list[int]:
        """See `Product`."""
        return [*super().pids(), self.postgres.pid]

    def kill(self, name: str) -> None:
        """See `Product`."""
        if name == "PostgreSQL":
            self.postgres.kill()
            self.postgres.start()
        else:
            super().kill(name)


class WithKafka(WithPostgres):
    """A product that needs Kafka and PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.kafka = LocalKafka(folder / "kafka")

    def start(self) -> None:
        """Start PostgreSQL and Kafka."""
        super().start()
        self.stack.enter_context(self.kafka)

    def pids(self) -> list[int]:
        """See `Product`."""
        return [*super().pids(), self.kafka.process.pid]

    def kill(self, name: str) -> None:
        """See `Product`."""
        if name == "Kafka":
            self.kafka.process.kill()
            self.kafka.process.wait()
            self.kafka.start()
            self.kafka.wait_ready()
        else:
            super().kill(name)
