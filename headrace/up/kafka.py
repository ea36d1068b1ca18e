"""Start the local broker, wait for Kafka, and create the topics."""

import asyncio
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from headrace.errors import UserError
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.data_dir import DataDir
from headrace.up.full_disk import RETRY_SECONDS, FullDisk
from headrace.up.start_screen import Screen
from headrace.up.supervised_process import SupervisedProcess
from headrace.up.supervisor import Supervisor
from schemas.kafka_settings import KafkaSettings
from schemas.plurals import counted
from schemas.topics import TOPICS


class Kafka:
    """The Kafka of `headrace up`: a supervised local broker, or an external cluster."""

    def __init__(
        self,
        broker: LocalKafka | None,
        data_dir: DataDir,
        screen: Screen,
        disk: FullDisk,
        supervisor: Supervisor,
    ) -> None:
        self._broker = broker
        self._data_dir = data_dir
        self._screen = screen
        self._disk = disk
        self._supervisor = supervisor
        self._process: SupervisedProcess | None = None

    def start(self, kafka: KafkaSettings) -> KafkaSettings:
        """Start the local broker, if there is one; return the settings with its address."""
        if (broker := self._broker) is None:
            return kafka

        def start(_: Path) -> subprocess.Popen[bytes]:
            broker.start()
            return broker.process

        self._process = self._supervisor.start("kafka", start)
        return kafka.model_copy(update={"bootstrap_servers": broker.bootstrap})

    def wait(self, kafka: KafkaSettings) -> str:
        """Wait for the local broker; return a description of Kafka."""
        address = kafka.bootstrap_servers
        if self._broker is None or self._process is None:
            self._disk.retry(lambda: self._data_dir.write_kafka_address(address))
            return f"{address}, external"
        while True:
            try:
                self._broker.wait_ready()
            except OSError as error:
                if not self._disk.space.may_explain(error):
                    raise self._disk.explain(error) from error
                self._disk.wait_for_space(error)
            except UserError as error:
                if not self._disk.space.was_recently_full():
                    raise self._supervisor.startup_failure(self._process) from error
                self._disk.wait_for_space(error)
                self._disk.retry(self._process.restart)
            else:
                return f"{address}, data in {self._screen.shown(self._data_dir.root / 'kafka')}"

    def create_topics(self, kafka: KafkaSettings) -> str:
        """Create missing topics, and update existing ones; return a description of them."""
        # Imported while the broker starts, by `preload`.
        from headrace.admin.topics import create_topics, update_topics  # noqa: PLC0415

        while True:
            try:
                created = asyncio.run(create_topics(kafka))
            except UserError as error:
                self._supervisor.raise_if_exited()
                if not self._disk.space.may_explain(error):
                    raise
                self._supervisor.check()
                time.sleep(RETRY_SECONDS)
            else:
                break
        # `headrace topics create` reports why Kafka rejects it.
        with suppress(UserError):
            asyncio.run(update_topics(kafka, created))
        return f"{len(TOPICS)}, events in {counted(kafka.partitions, 'partition')}"

    def stop(self) -> None:
        """Release the local broker after its process has stopped."""
        if self._broker is not None:
            self._broker.stop()
