"""Operator commands on a stack, and valid events to check that it works."""

import json
from typing import Any

from headrace.ops.dead_letters.dead_letter import DeadLetter
from headrace.ops.dead_letters.reader import open_reader
from schemas.kafka_settings import KafkaSettings
from tests.e2e.stack import PARTITIONS, Stack


def settings(stack: Stack) -> KafkaSettings:
    """Return the Kafka settings of operator commands."""
    return KafkaSettings(bootstrap_servers=stack.kafka, partitions=PARTITIONS)


async def letters(stack: Stack) -> list[DeadLetter]:
    """Return all dead letters, each once."""
    async with open_reader(settings(stack), None) as found:
        return [letter async for _, letter in found]


def status(stack: Stack) -> tuple[int, Any]:
    """Return the exit code and the JSON of `headrace status --json`."""
    done = stack.invoke("status", "--json")
    return done.exit_code, json.loads(done.stdout)


def lag(stack: Stack) -> int:
    """Return the total lag in records."""
    return sum(flow["lag"] for flow in status(stack)[1]["flows"])


def _good(number: int) -> dict[str, object]:
    return {"type": "pageview", "site_id": "good", "session_id": f"s{number % 40}", "path": "/"}


def post_good(stack: Stack) -> None:
    """Post 200 valid events."""
    assert stack.post([_good(number) for number in range(200)], "/api/events")[0] == 202


def has_good(stack: Stack, events: int) -> bool:
    """Return True if `events` valid events are stored and counted in sessions."""
    stored = stack.rows("SELECT count(*) AS n FROM events WHERE site_id = 'good'")
    counted = stack.rows("SELECT sum(events) AS n FROM sessions WHERE site_id = 'good'")
    return stored == counted == [{"n": events}]
