"""A clickstream of months is replayed while roles are killed."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sinks.sql.tables import EventRow
from tests.e2e import clickstream
from tests.e2e.clickstream import SITE, Event
from tests.e2e.conftest import MakeStack
from tests.faults.checks import Rules, check_exact
from tests.faults.ledger import Ledger, Outcome
from tests.faults.quiescence import quiesce
from tests.faults.tables import rows_of
from tests.faults.traffic import Sent
from tests.faults.visits import check_visits

COUNT = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.timeout(300)
def test_a_replayed_clickstream_is_exact_though_streams_and_sinks_are_killed(
    make_stack: MakeStack, tmp_path: Path, seed: int
) -> None:
    """Out of order by days, with duplicates and invalid lines, and five times kill -9."""
    stack = make_stack({"HEADRACE_IMPORT__SITES": SITE})
    stream = clickstream.events(COUNT, seed)
    clickstream.write(tmp_path / "clicks.jsonl", stream, seed + 1)
    argv = ["replay", str(tmp_path / "clicks.jsonl"), "--to", stack.url, "--allow-rejects"]
    ledger = Ledger()
    replay = subprocess.Popen(
        [sys.executable, "-m", "headrace", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for role in ("streams", "sinks", "streams", "sinks", "streams"):
        stack.kill(role)
    assert replay.wait(120) == 0

    ledger.record_all(_as_sent(stream), Outcome.ACKNOWLEDGED)
    quiesce(stack)
    log = check_exact(stack, Rules(import_sites=frozenset({SITE})), ledger)

    check_visits(stack)
    assert log.dead_letters == []
    assert stack.rows("SELECT * FROM alerts") == []
    at = {row["event_id"]: row["event_ts"] for row in rows_of(stack, EventRow)}
    assert at == {event["event_id"]: _micros(event) for event in stream}


def _as_sent(stream: list[Event]) -> list[Sent]:
    return [Sent(event["event_id"], event, is_valid=True) for event in stream]


def _micros(event: Event) -> int:
    return (datetime.fromisoformat(event["timestamp"]) - _EPOCH) // timedelta(microseconds=1)
