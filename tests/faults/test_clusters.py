"""The Kafka cluster under a database is replaced by an empty one."""

import shutil
import subprocess
import sys

import pytest

from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.faults.checks import Rules, check_exact
from tests.faults.kafka_log import KafkaLog, read_log
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.quiescence import quiesce
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

EVENT = {"type": "pageview", "site_id": "shop", "session_id": "s"}
#: Acknowledged events per cluster. The same traffic is sent again each time, and more of it.
_EVENTS = (300, 700, 1_100)


def test_a_database_adopts_an_empty_cluster_twice(make_stack: MakeStack, seed: int) -> None:
    """Visits continue across clusters, and repeats of earlier clusters' events do not count.

    An erased visitor stays blocked.
    """
    stack = make_stack({"HEADRACE_STREAMS__TICK_SECONDS": "1"})
    blocked = _headrace(stack, "erase", "--site", "shop", "--visitor", "erased", "--block", "--yes")
    assert blocked.returncode == 0, blocked.stderr
    eventually(
        lambda: stack.rows("SELECT 1 FROM blocked_ids"),
        within_seconds=60,
        what="the blocked id is in SQL",
    )
    ledger, logs = Ledger(), list[KafkaLog]()
    for count in _EVENTS:
        if logs:
            assert stack.stop() == 0
            shutil.rmtree(stack.data_dir / "kafka")
            adopted = _headrace(stack, "adopt-cluster")
            assert adopted.returncode == 0, adopted.stderr
            assert f"(epoch {len(logs)}) now" in adopted.stdout
            assert "Nothing to do" in _headrace(stack, "adopt-cluster").stdout
            stack.start()
        with Load(stack, seed, ledger=ledger) as load:
            load.more(count)
            load.probe()
        quiesce(stack)
        check_exact(stack, Rules(), ledger, logs)
        assert "Workers are running" in _headrace(stack, "adopt-cluster", "--force").stderr
        audited = _headrace(stack, "audit")
        assert audited.returncode == 0, audited.stdout
        status, content = stack.post({**EVENT, "visitor_id": "erased"})
        assert (status, content["code"]) == (403, "erased")
        logs.append(read_log(stack.kafka, [KafkaLog([], [], [], 0)] * len(logs)))


def _headrace(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", *command, "--data-dir", str(stack.data_dir)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
