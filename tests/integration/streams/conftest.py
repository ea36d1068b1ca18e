"""A broker that one test may kill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.local.broker.local_kafka import LocalKafka


class OwnBroker:
    """A local broker for one test."""

    def __init__(self, broker: LocalKafka) -> None:
        self._broker = broker

    @property
    def bootstrap(self) -> str:
        """The address of the broker."""
        return self._broker.bootstrap

    def kill_and_restart(self) -> None:
        """Kill the JVM with SIGKILL, and restart it at the same address."""
        self._broker.process.kill()
        self._broker.process.wait()
        self._broker.start()
        self._broker.wait_ready()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[OwnBroker]:
    """Yield a broker that no other test uses."""
    with LocalKafka(tmp_path / "own") as broker:
        yield OwnBroker(broker)
