"""A stack adopts a schema registry: both kinds of ids are read, and the results stay exact."""

import io
import json
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import fastavro
import pytest
from aiokafka import AIOKafkaConsumer

from headrace.local.broker.ports import free_port
from schemas.codec import LAST_ID
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.schema_registry import running
from tests.fixtures.waiting import eventually

SITE = "registry"
SESSIONS = 20
FOREIGN = 22


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_stack_adopts_a_registry_and_survives_its_outage(make_stack: MakeStack) -> None:
    """Visits continue across the change; other consumers read by the registry alone."""
    stack = make_stack({})
    _send(stack, 1)
    _until_stored(stack, 1)
    assert stack.stop() == 0
    address = f"127.0.0.1:{free_port()}"
    flags = ("-foreign", str(FOREIGN), "-address", address)
    with running(*flags) as url:
        _headrace(stack, "schemas", "register", "--registry", url)
        stack.settings["HEADRACE_SCHEMA_REGISTRY__URL"] = url
        stack.start()
        _send(stack, 2)
        _until_stored(stack, 2)
        _headrace(stack, "audit", "--settle", "2")
        _headrace(stack, "dlq", "list")
        assert await _read_as_others(stack, "events-session", url) == {
            "own": SESSIONS,
            "registry": SESSIONS,
        }

    _send(stack, 3)  # the registry is down
    _until_stored(stack, 3)
    for role in ("web", "sinks"):
        stack.kill(role)
    eventually(
        lambda: "The schema registry at" in _readiness(stack),
        within_seconds=60,
        what="/readyz says that the registry is down",
    )
    assert stack.post(_event(0, 4))[0] == 500

    with running(*flags) as url:
        _headrace(stack, "schemas", "register")
        eventually(
            lambda: '"ready"' in _readiness(stack), within_seconds=60, what="the roles continue"
        )
        _send(stack, 4)
        _until_stored(stack, 4)
        _headrace(stack, "audit", "--settle", "2")
        shown = _headrace(stack, "topics", "cat", "sessions", "--json")
        kinds = {json.loads(line)["kind"] for line in shown.splitlines()}
        assert kinds <= {"record", "tombstone", "punctuation"}
        assert '"error":' not in shown


def _readiness(stack: Stack) -> str:
    """Return the body of `/readyz`, "" while nothing listens."""
    try:
        return stack.why_not_ready
    except urllib.error.URLError:
        return ""


def _event(session: int, number: int) -> dict[str, Any]:
    return {
        "type": "pageview",
        "site_id": SITE,
        "session_id": f"s-{session}",
        "path": f"/{number}",
        "event_id": f"00000000-0000-4000-8000-{session:06d}{number:06d}",
    }


def _send(stack: Stack, number: int) -> None:
    """Send one event of each session."""
    status, body = stack.post([_event(one, number) for one in range(SESSIONS)], "/api/events")
    assert (status, body["accepted"]) == (202, SESSIONS)


def _until_stored(stack: Stack, count: int) -> None:
    """Wait until each session has one visit with so many events."""
    query = "SELECT events FROM sessions WHERE site_id = ? AND state <> 'withdrawn'"
    eventually(
        lambda: [row["events"] for row in stack.rows(query, [SITE])] == [count] * SESSIONS,
        within_seconds=90,
        what=f"{SESSIONS} visits have {count} events",
    )


def _headrace(stack: Stack, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *words],
        env={"PATH": "/usr/bin:/bin", "HEADRACE_DATA_DIR": str(stack.data_dir), **stack.settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def _read_as_others(stack: Stack, topic: str, url: str) -> dict[str, int]:
    """Decode a topic by the registry; return how many records have its ids, and how many ours."""
    found = {"own": 0, "registry": 0}
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=stack.kafka, auto_offset_reset="earliest"
    ) as consumer:
        while records := await consumer.getmany(timeout_ms=3_000):
            for record in (one for batch in records.values() for one in batch):
                if record.value is None:
                    continue
                (_, schema_id) = struct.unpack_from(">bI", record.value)
                if schema_id <= LAST_ID:
                    found["own"] += 1
                    continue
                schema = fastavro.parse_schema(json.loads(_schema(url, schema_id)))
                event: Any = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema, None)
                assert event["site_id"] == SITE
                found["registry"] += 1
    return found


def _schema(url: str, schema_id: int) -> str:
    with urllib.request.urlopen(f"{url}/schemas/ids/{schema_id}", timeout=5) as response:  # noqa: S310 - ours
        return str(json.load(response)["schema"])
