"""More partitions in the same cluster: visits continue, and repeats do not count."""

import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import clickstream
from tests.e2e.clickstream import SITE, Event
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_COUNT = 1_800
_AT_ONCE = 450


@pytest.mark.parametrize("kills", [0, 4])
def test_results_are_exact_with_more_partitions(
    make_stack: MakeStack, seed: int, kills: int
) -> None:
    """Also if the command is killed at random times and repeated."""
    choose = random.Random(seed)  # noqa: S311 - a test's choice
    stack = make_stack({"HEADRACE_IMPORT__SITES": SITE})
    # Shuffled, so that nearly every visit has events before and after each change.
    stream = clickstream.events(_COUNT, seed=seed)
    choose.shuffle(stream)
    third = _COUNT // 3
    sent: list[Event] = []
    for number, partitions in enumerate((4, 7, 12)):
        part = stream[number * third : (number + 1) * third]
        _send(stack, [*sent[-200:], *part])  # the first ones again: they must not count
        sent += part
        _wait_for(stack, sent)
        audited = _headrace(stack, "audit")
        assert audited.returncode == 0, audited.stdout
        if partitions == 12:
            break
        more = {4: 7, 7: 12}[partitions]
        running = _headrace(stack, "repartition", "--partitions", str(more))
        assert running.returncode == 1
        assert "are running. Stop `headrace up`" in running.stderr
        assert stack.stop() == 0
        fewer = _headrace(stack, "repartition", "--partitions", "3")
        assert f"The topics have {partitions} partitions, and Kafka cannot remove" in fewer.stderr
        for _ in range(kills):
            _kill(stack, more, choose.uniform(0.5, 12.0))
        done = _headrace(stack, "repartition", "--partitions", str(more))
        assert done.returncode == 0, done.stderr
        again = _headrace(stack, "repartition", "--partitions", str(more))
        assert f"Nothing to do: the topics have {more} partitions" in again.stdout
        stack.start()

    assert stack.rows("SELECT count(DISTINCT kafka_epoch) AS n FROM events")[0]["n"] == 3
    assert stack.rows("SELECT max(kafka_partition) AS n FROM events")[0]["n"] == 11
    assert stack.stop() == 0
    rebuilt = _headrace(stack, "rebuild", "sessions")
    assert rebuilt.returncode == 0, rebuilt.stderr
    stack.start()
    _send(stack, sent[-200:])
    sent.append({"type": "pageview", "site_id": SITE, "session_id": "s1", "path": "/last"})
    _send(stack, sent[-1:])
    eventually(
        lambda: stack.rows("SELECT count(*) AS n FROM events")[0]["n"] == len(sent),
        within_seconds=60,
        what="the last event is stored",
    )
    audited = _headrace(stack, "audit")
    assert audited.returncode == 0, audited.stdout


def test_a_backup_of_more_partitions_is_restored_before_the_sinks_start(
    make_stack: MakeStack, tmp_path: Path, seed: int
) -> None:
    """In another data directory, whose next start uses the partitions of the backup."""
    stack = make_stack({"HEADRACE_IMPORT__SITES": SITE})
    stream = clickstream.events(_AT_ONCE, seed=seed)
    before = stream[: _AT_ONCE // 2]
    _send(stack, before)
    _wait_for(stack, before)
    assert stack.stop() == 0
    file = tmp_path / "a.tar.gz"
    for command in (("repartition", "--partitions", "7"), ("backup", str(file))):
        done = _headrace(stack, *command)
        assert done.returncode == 0, done.stderr

    other = Stack(tmp_path / "other", stack.settings)
    restored = _headrace(other, "restore", str(file))
    assert restored.returncode == 0, restored.stderr
    try:
        other.start()
        _send(other, stream)  # the first half again: it must not count
        _wait_for(other, stream)
        audited = _headrace(other, "audit")
        assert audited.returncode == 0, audited.stdout
        assert other.stop() == 0
    finally:
        other.end()


def _argv(stack: Stack, *command: str) -> list[str]:
    return [sys.executable, "-m", "headrace", *command, "--data-dir", str(stack.data_dir)]


def _headrace(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _argv(stack, *command), capture_output=True, text=True, timeout=180, check=False
    )


def _kill(stack: Stack, partitions: int, seconds: float) -> None:
    """Kill the command after a while, unless it has finished."""
    argv = _argv(stack, "repartition", "--partitions", str(partitions))
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()


def _send(stack: Stack, events: Sequence[Event]) -> None:
    for start in range(0, len(events), _AT_ONCE):
        status, _ = stack.post(events[start : start + _AT_ONCE], "/api/events")
        assert status == 202


def _wait_for(stack: Stack, stream: Sequence[Event]) -> None:
    """Wait until all events are stored, and in visits."""
    wanted = [len(stream), clickstream.in_visits(stream)]

    def counted() -> bool:
        [stored] = stack.rows("SELECT count(*) AS n FROM events")
        [visits] = stack.rows("SELECT sum(events) AS n FROM sessions WHERE state <> 'withdrawn'")
        return [stored["n"], visits["n"]] == wanted

    eventually(counted, within_seconds=90, what=f"{wanted} events are stored, and in visits")
