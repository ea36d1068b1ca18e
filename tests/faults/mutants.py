"""Mutants of the product, each with the scenario that must find it.

    python -m tests.faults.mutants            # list them
    python -m tests.faults.mutants NAME...    # apply each, run its scenario; exit 1 if one survives

A mutant whose text is no longer in its file is an error: update it.
Results of the last runs are in mutants.md.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).parents[2]
_COPIED = (
    "benchmarks",
    "headrace",
    "kafka_clients",
    "producer_api",
    "query_api",
    "schemas",
    "sinks",
    "streams",
    "tests",
)


class Mutant(NamedTuple):
    """A replacement in one file, and the test that must then fail."""

    name: str
    scenario: str
    file: str
    text: str
    replacement: str


MUTANTS = (
    Mutant(
        "time-shifted",
        "tests/faults/test_kills.py::test_each_role_is_killed_once",
        "producer_api/events/times.py",
        "timestamp = received - (sent - timestamp)",
        "timestamp = received - (sent - timestamp) + 1_000_000",
    ),
    Mutant(
        "title-dropped",
        "tests/faults/test_kills.py::test_each_role_is_killed_once",
        "sinks/rows.py",
        "event.title,",
        "None,",
    ),
    Mutant(
        "path-cut",
        "tests/faults/test_kills.py::test_each_role_is_killed_once",
        "sinks/rows.py",
        "path_of(event.path, event.url),",
        "path_of(event.path, event.url)[:64],",
    ),
    Mutant(
        "events-applied-again",
        "tests/faults/test_kills.py::test_each_role_is_killed_ten_times_at_random_moments",
        "streams/domain/sessions/rules.py",
        "return replace(state, src_offset=src.offset, visits=_bounded(visits))",
        "return replace(state, visits=_bounded(visits))",
    ),
    Mutant(
        "short-retention",
        "tests/faults/test_default_settings.py",
        "streams/domain/sessions/rules.py",
        'closes if visit.state == "open" else closes + rules.retention_ms',
        'closes if visit.state == "open" else closes + rules.retention_ms // 25',
    ),
    Mutant(
        "grace-period-ignored",
        "tests/faults/test_default_settings.py",
        "streams/domain/sessions/rules.py",
        "(gap + lateness) * 1_000",
        "min(gap + lateness, gap + 60) * 1_000",
    ),
    Mutant(
        "order-of-the-database",
        "tests/faults/test_collation.py",
        "sinks/sql/migrations/versions/0005_bounded_lists.py",
        """TYPE text COLLATE "C"'""",
        """TYPE text COLLATE "default"'""",
    ),
    Mutant(
        "old-states-unreadable",
        "tests/e2e/test_upgrades.py",
        "schemas/avro/ids.json",
        '  "2": "session_state.avsc",\n',
        "",
    ),
    Mutant(
        "no-row-is-the-end-of-the-log",
        "tests/faults/test_state.py::test_the_database_is_deleted_and_kafka_kept",
        "sinks/app.py",
        "        return starts\n",
        "        return {tp: start or ends[tp] for tp, start in starts.items()}\n",
    ),
    Mutant(
        "no-commit-is-the-end-of-the-log",
        "tests/faults/test_state.py::test_the_consumer_groups_are_deleted",
        "streams/engine/group.py",
        'auto_offset_reset="earliest"',
        'auto_offset_reset="latest"',
    ),
    Mutant(
        "bytes-behind-the-record",
        "tests/faults/test_poison.py::test_poison_records_of_every_kind_between_valid_events",
        "schemas/codec.py",
        "if end != len(message):",
        "if end > len(message):",
    ),
    Mutant(
        "no-circuit-breaker",
        "tests/faults/test_poison.py::test_poison_records_in_a_row_stop_their_partition",
        "streams/engine/circuit_breaker.py",
        "if longest > self._limit:",
        "if longest > 100 * self._limit:",
    ),
    Mutant(
        "zombie-worker-writes",
        "tests/faults/test_workers.py::test_a_frozen_worker_resumes_after_its_partitions_moved",
        "streams/engine/fencing.py",
        "if gap > self._limit:",
        "if gap > 1_000 * self._limit:",
    ),
    Mutant(
        "no-capacity-limit",
        "tests/faults/test_bounds.py::test_100000_sessions_exceed_the_limit_of_40000_states",
        "streams/engine/capacity.py",
        "        self.max_states = max_states\n",
        "        self.max_states = 100 * max_states\n",
    ),
    Mutant(
        "refused-batch-skipped",
        "tests/faults/test_broker.py::test_kafka_rejects_records_of_one_topic_after_the_other",
        "streams/engine/producer.py",
        "                return await self._send_batch(topic, partition, records, start)\n",
        "                try:\n"
        "                    return await self._send_batch(topic, partition, records, start)\n"
        "                except __import__('aiokafka').errors.NotEnoughReplicasError:\n"
        "                    return len(records) - start\n",
    ),
    Mutant(
        "lost-records-not-routed-again",
        "tests/faults/test_lost_records.py::"
        "test_every_payment_raises_an_alert_after_events_alert_expired",
        "streams/engine/lost_records.py",
        "    offsets = {tp: logs.ends[tp] for tp in lost}\n",
        "    offsets = {tp: logs.begins[tp] for tp in lost}\n    return offsets\n",
    ),
    Mutant(
        "drains-nothing",
        "tests/faults/test_lost_records.py::test_records_that_expire_after_a_graceful_stop_were_processed",
        "streams/app.py",
        "    worker.drains = flow().routed\n",
        "",
    ),
    Mutant(
        "expired-unnoticed",
        "tests/faults/test_expired_events.py",
        "streams/engine/lost_records.py",
        "return sum(number for tp, number in lost.items() if tp in logs.committed)",
        "return 0",
    ),
    Mutant(
        "database-not-waited-for",
        "tests/faults/test_database.py::test_postgresql_is_down_for_two_minutes_and_restarted",
        "sinks/sql/retries.py",
        "if not is_transient(error):",
        "if True:",
    ),
    Mutant(
        "silent-about-the-disk",
        "tests/faults/test_disk_full.py::test_the_status_says_that_the_disk_is_full",
        "headrace/ops/status/collect.py",
        "Status(problems=_disk_problems(data_dir))",
        "Status()",
    ),
)


def main(names: list[str]) -> int:
    """Run the named mutants; without a name, list all."""
    if not names:
        for mutant in MUTANTS:
            print(f"{mutant.name:30} {mutant.scenario}")  # noqa: T201
    known = {mutant.name: mutant for mutant in MUTANTS}
    survived = [name for name in names if not _is_killed(known[name])]
    for name in names:
        print(f"{name}: {'SURVIVED' if name in survived else 'killed'}")  # noqa: T201
    return 1 if survived else 0


def _is_killed(mutant: Mutant) -> bool:
    """Run the scenario in a mutated copy; return True if it fails."""
    with tempfile.TemporaryDirectory(prefix="headrace-mutant-") as scratch:
        copy = Path(scratch) / "headrace"
        copy.mkdir()
        for name in _COPIED:
            shutil.copytree(_ROOT / name, copy / name)
        shutil.copy(_ROOT / "pyproject.toml", copy)
        file = copy / mutant.file
        source = file.read_text()
        if source.count(mutant.text) != 1:
            sys.exit(f"{mutant.name}: {mutant.file} has its text {source.count(mutant.text)} times")
        file.write_text(source.replace(mutant.text, mutant.replacement))
        argv = ["pytest", "-x", "-q", "-n", "0", "-m", "", *mutant.scenario.split()]
        completed = subprocess.run([sys.executable, "-m", *argv], cwd=copy, check=False)
    # 1: a test failed. Other codes, such as for no tests, are errors.
    code = completed.returncode
    assert code in {0, 1}, f"{mutant.name}: pytest exited with {code}"
    return code == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
