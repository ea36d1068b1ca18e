"""Every role and command, over TLS, as a user with the documented ACLs."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from tests.fixtures.secure_kafka import SecureKafka
from tests.fixtures.waiting import eventually
from tests.integration.headrace.roles import READY, Roles
from tests.integration.kafka_clients.installed import installed

#: Commands that use Kafka. After the last one there are no dead letters.
COMMANDS = (
    ["topics", "describe"],
    ["dlq", "list"],
    ["dlq", "replay"],
    ["audit"],
    ["dlq", "discard", "--all", "--yes", "--reason", "no event"],
)
#: Run while `streams` is stopped.
REBUILDS = (["rebuild", "sessions"], ["rebuild", "durations"])


@pytest.fixture
def prefix() -> str:
    """Return a unique prefix of topics and groups."""
    return f"{uuid4().hex[:8]}-"


@pytest.fixture(params=["SCRAM-SHA-512", "certificate"])
async def roles(
    request: pytest.FixtureRequest, secure_kafka: SecureKafka, prefix: str, tmp_path: Path
) -> AsyncIterator[Roles]:
    """Yield roles, not started, that log in as the user; their topics exist."""
    async with installed(secure_kafka, request.param, prefix, tmp_path) as roles:
        yield roles


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_everything_works_for_a_limited_user(
    roles: Roles, secure_kafka: SecureKafka, prefix: str, tmp_path: Path
) -> None:
    """From an event to its session in SQL, and the commands that read and write Kafka."""
    roles.start(*READY)
    roles.wait_for(READY)
    answer = httpx.post(
        f"http://127.0.0.1:{roles.ports['api']}/api/events",
        json=[
            {"type": "pageview", "site_id": "shop", "session_id": f"s{number}", "path": "/"}
            for number in range(40)
        ],
    )
    assert answer.status_code == 202, answer.text

    def stored() -> int:
        with sqlite3.connect(tmp_path / "headrace.db") as database:
            return int(database.execute("SELECT count(*) FROM sessions").fetchone()[0])

    eventually(lambda: stored() == 40, within_seconds=60, what="40 sessions are stored")
    asyncio.run(_send_garbage(secure_kafka, f"{prefix}events-raw"))
    eventually(
        lambda: json.loads(roles.run("status", "--json").stdout)["problems"],
        within_seconds=60,
        what="the status reports the dead letter",
    )
    for command in COMMANDS:
        done = roles.run(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    status = json.loads(roles.run("status", "--json").stdout)
    assert not status["problems"]
    assert {flow["topic"].startswith(prefix) for flow in status["flows"]} == {True}
    roles.term("streams")
    assert roles.codes("streams") == {"streams": 0}
    for command in REBUILDS:
        done = roles.run(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert stored() == 40


async def _send_garbage(broker: SecureKafka, topic: str) -> None:
    """Write a record that is not an event."""
    async with AIOKafkaProducer(bootstrap_servers=broker.administrator) as producer:
        await producer.send_and_wait(topic, b"no event", b"no key")
