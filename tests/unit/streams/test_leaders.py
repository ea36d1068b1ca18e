"""Partitions without a leader, which a worker waits for, are reported to operators."""

from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.kafka_settings import KafkaSettings
from schemas.topics import EVENTS_SESSION, SESSIONS
from streams.engine import leaders
from streams.engine.worker import Worker


class Admin:
    """An admin client that describes topics with one partition each."""

    def __init__(self) -> None:
        self.leader = -1
        self.failure: Exception | None = None
        self.requested: list[str] = []

    async def start(self) -> None:
        """Connect, unless it fails."""
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Do nothing."""

    async def describe_topics(self, topics: list[str]) -> list[Any]:
        """Return the metadata of topics as aiokafka does."""
        self.requested = topics
        return [
            {"topic": topic, "partitions": [{"partition": 0, "leader": self.leader}]}
            for topic in topics
        ]


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    """Return the client that checks use."""
    client = Admin()
    monkeypatch.setattr(leaders, "make_admin", lambda _: client)
    return client


def worker() -> Worker:
    """Return a worker that has no partitions yet; its agent has a table."""
    made = Worker("app", KafkaSettings())
    table = made.raw_table(SESSIONS, bytes, bytes)
    made.agent(EVENTS_SESSION, tables=[table])(lambda _: None)
    return made


async def test_a_takeover_reports_partitions_without_a_leader(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the source topic and the changelog, until they have one."""
    one = worker()
    await one.check_leaders()

    assert admin.requested == ["events-session", "sessions"]
    assert one.not_ready == (
        "waiting for the leader of events-session/0, sessions/0: start the brokers that hold their "
        "replicas"
    )
    assert one.not_ready in caplog.text

    admin.leader = 1
    await one.check_leaders()
    assert one.not_ready == "app is taking over its partitions"


async def test_a_worker_reports_an_output_without_a_leader(admin: Admin) -> None:
    """It waits for the ack of a batch that it has sent twice."""
    one = worker()
    one.group._readers.is_open.set()  # noqa: SLF001 - it has its partitions
    await one.check_leaders()
    assert (admin.requested, one.not_ready) == ([], None)

    one.producer.unacknowledged.add(("alerts", 0))
    await one.check_leaders()
    assert one.not_ready == (
        "waiting for the leader of alerts/0: start the brokers that hold its replicas"
    )

    one.producer.unacknowledged.clear()
    await one.check_leaders()
    assert one.not_ready is None


async def test_a_problem_is_reported_while_kafka_does_not_respond(admin: Admin) -> None:
    """The partition may still have no leader."""
    one = worker()
    await one.check_leaders()
    before = one.not_ready
    admin.failure = KafkaConnectionError("gone")
    await one.check_leaders()

    assert one.not_ready == before
