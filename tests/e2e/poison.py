"""Poison in a whole headrace, and what the operator's commands tell of it."""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from infra.dead_letters.letter import DeadLetter
from infra.dead_letters.read import open_letters
from schemas.records import RawEvent
from schemas.settings import KafkaSettings
from tests.e2e.stack import Stack

PARTITIONS = 4
NOON = 1_775_044_800_000_000

Headers = list[tuple[str, bytes]]


def event(session: str, **fields: Any) -> RawEvent:
    """Return an event of the site `poisoned`."""
    given: dict[str, Any] = {
        "event_id": str(uuid4()),
        "type": "pageview",
        "site_id": "poisoned",
        "session_id": session,
        "received_at": NOON,
        "event_ts": NOON,
        "time_source": "server",
    }
    return RawEvent(**{**given, **fields})


def headers(event_type: bytes = b"pageview") -> Headers:
    """Return the headers that an event has in events-raw."""
    return [("id", uuid4().bytes), ("type", event_type)]


async def send(stack: Stack, topic: str, records: Iterable[tuple[int, Any, Any, Headers]]) -> None:
    """Send records, each with its partition, key, value and headers."""
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka, acks="all") as producer:
        for partition, key, value, headers in records:
            await producer.send_and_wait(topic, value, key, partition, headers=headers)


def settings(stack: Stack) -> KafkaSettings:
    """Return what the commands of the operator are given."""
    return KafkaSettings(bootstrap_servers=stack.kafka, partitions=PARTITIONS)


async def letters(stack: Stack) -> list[DeadLetter]:
    """Return all dead letters, each once."""
    async with open_letters(settings(stack), None) as found:
        return [letter async for _, letter in found]


def status(stack: Stack) -> tuple[int, Any]:
    """Return the exit code of `headrace status --json`, and what it tells."""
    argv = ["status", "--json", "--data-dir", str(stack.data_dir)]
    told = subprocess.run([sys.executable, "-m", "infra", *argv], capture_output=True, check=False)
    return told.returncode, json.loads(told.stdout)


def lag(stack: Stack) -> int:
    """Return how many records are not read yet."""
    return sum(flow["lag"] for flow in status(stack)[1]["flows"])


def _good(number: int) -> dict[str, object]:
    return {"type": "pageview", "site_id": "good", "session_id": f"s{number % 40}", "path": "/"}


def post_good(stack: Stack) -> None:
    """Post 200 good events."""
    assert stack.post([_good(number) for number in range(200)], "/api/events")[0] == 202


def has_good(stack: Stack, events: int) -> bool:
    """Tell whether so many good events are stored, and counted in sessions."""
    stored = stack.rows("SELECT count(*) AS n FROM events WHERE site_id = 'good'")
    counted = stack.rows("SELECT sum(events) AS n FROM sessions WHERE site_id = 'good'")
    return stored == counted == [{"n": events}]
