"""What the commands of the operator tell of a whole headrace, and good events for it to count."""

import json
import subprocess
import sys
from typing import Any

from infra.dead_letters.letter import DeadLetter
from infra.dead_letters.read import open_reader
from schemas.kafka_settings import KafkaSettings
from tests.e2e.stack import PARTITIONS, Stack


def settings(stack: Stack) -> KafkaSettings:
    """Return what the commands of the operator are given."""
    return KafkaSettings(bootstrap_servers=stack.kafka, partitions=PARTITIONS)


async def letters(stack: Stack) -> list[DeadLetter]:
    """Return all dead letters, each once."""
    async with open_reader(settings(stack), None) as found:
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
