"""Roles as processes, with a broker and a database of the test."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from headrace.admin.topics import create_topics
from headrace.local.broker.local_kafka import LocalKafka
from headrace.local.broker.ports import free_port
from schemas.kafka_settings import KafkaSettings
from tests.fixtures.migrated import create_migrated
from tests.fixtures.waiting import eventually

PARTITIONS = 4
_START_SECONDS = 60
#: After this time, service managers send SIGKILL.
END_SECONDS = 30

#: What each role logs when it is ready.
READY = {
    "api": "events are accepted",
    "query": "The dashboard is at",
    "streams": "streams: ready",
    "live": "live: ready",
    "sinks": "sinks: ready",
}


class Roles:
    """Processes of roles, with a log file each."""

    def __init__(self, kafka: Mapping[str, str], database: str, folder: Path) -> None:
        self.ports = {role: free_port() for role in READY}
        self._environment = {
            **os.environ,
            **kafka,
            "HEADRACE_KAFKA__PARTITIONS": str(PARTITIONS),
            "HEADRACE_DATABASE__URL": database,
            "HEADRACE_API__SITES": "open",
        }
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str, variables: Mapping[str, str] | None = None) -> None:
        """Start roles, with `variables` in addition to the environment of all."""
        for name in names:
            with (self._folder / f"{name}.log").open("wb") as out:
                self._processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "headrace", name],
                    env={
                        **self._environment,
                        "HEADRACE_API__PORT": str(self.ports[name]),
                        **(variables or {}),
                    },
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )

    def run(
        self, *command: str, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of headrace until it exits; `variables` are added to its environment."""
        return subprocess.run(
            [sys.executable, "-m", "headrace", *command],
            env={**self._environment, **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def log(self, name: str) -> str:
        """Return the log of a role."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def wait_for(self, texts: dict[str, str]) -> None:
        """Wait until each role has logged its text."""
        for name, text in texts.items():
            eventually(
                lambda name=name, text=text: text in self.log(name),  # type: ignore[misc]
                within_seconds=_START_SECONDS,
                what=f"{name} logs {text!r}",
            )

    def term(self, *names: str) -> None:
        """Send SIGTERM."""
        for name in names:
            self._processes[name].send_signal(signal.SIGTERM)

    def codes(self, *names: str) -> dict[str, int]:
        """Wait for the exit codes of roles, at most `END_SECONDS`."""
        return {name: self._processes[name].wait(END_SECONDS) for name in names}

    def end(self) -> None:
        """Kill all processes."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


@contextmanager
def roles_of(kafka: str | Mapping[str, str], database: str, folder: Path) -> Iterator[Roles]:
    """Yield roles for a Kafka (its address or its settings) and a database; none is started."""
    if isinstance(kafka, str):
        kafka = {"HEADRACE_KAFKA__BOOTSTRAP_SERVERS": kafka}
    roles = Roles(kafka, database, folder)
    try:
        yield roles
    finally:
        roles.end()


@contextmanager
def own_kafka(folder: Path) -> Iterator[LocalKafka]:
    """Yield a broker with the topics, which the test may kill or freeze."""
    with LocalKafka(folder / "kafka") as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS)
        asyncio.run(create_topics(settings))
        try:
            yield broker
        finally:
            with suppress(ProcessLookupError):
                broker.process.send_signal(signal.SIGCONT)


def own_database(folder: Path) -> str:
    """Return the URL of a new SQLite database."""
    return create_migrated(f"sqlite:///{folder / 'headrace.db'}")


@contextmanager
def all_ready(folder: Path) -> Iterator[tuple[LocalKafka, Roles]]:
    """Yield a broker and all roles, ready."""
    with (
        own_kafka(folder) as kafka,
        roles_of(kafka.bootstrap, own_database(folder), folder) as roles,
    ):
        roles.start(*READY)
        roles.wait_for(READY)
        yield kafka, roles
