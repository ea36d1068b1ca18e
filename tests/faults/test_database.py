"""The database is down, full or locked: events wait in Kafka."""

import resource
import sqlite3
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.scenario import MakeScenario, Scenario, sleep, why_not_ready
from tests.fixtures.postgres import LocalPostgres
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture
def postgres() -> Iterator[LocalPostgres]:
    """Yield a PostgreSQL server that the test may stop."""
    with LocalPostgres() as server:
        yield server


def test_postgresql_is_down_for_two_minutes_and_restarted(
    postgres: LocalPostgres, make_scenario: MakeScenario
) -> None:
    """Events are accepted, `/readyz` reports the reason, and it recovers without intervention."""
    scenario = make_scenario({"HEADRACE_DATABASE__URL": postgres.url})
    stack = scenario.stack
    with scenario.load() as load:
        before = stack.pid("sinks")
        postgres.stop()
        sleep(120)
        load.more(300)
        assert "database" in why_not_ready(stack)
        postgres.start()
        scenario.recover()
        assert stack.pid("sinks") == before, "sinks waited, and was not restarted"
        postgres.stop()
        postgres.start()
        scenario.recover()
    scenario.check()


def test_another_process_locks_the_sqlite_file_for_30_seconds(scenario: Scenario) -> None:
    """`/readyz` names the process; afterwards all events are written."""
    stack = scenario.stack
    with scenario.load() as load:
        holder = sqlite3.connect(stack.data_dir / "headrace.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        sleep(30)
        load.more(300)
        assert "holds the lock" in why_not_ready(stack)
        holder.execute("ROLLBACK")
        holder.close()
        scenario.recover()
    scenario.check()


def test_the_disk_of_the_sqlite_file_is_full_for_30_seconds(scenario: Scenario) -> None:
    """No partial batch is written; afterwards all events are."""
    stack = scenario.stack
    with scenario.load() as load:
        pid = stack.pid("sinks")
        assert pid is not None
        sinks = psutil.Process(pid)
        no_limit = sinks.rlimit(psutil.RLIMIT_FSIZE)
        sinks.rlimit(psutil.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
        eventually(
            lambda: "database" in why_not_ready(stack),
            within_seconds=30,
            what="`/readyz` reports that the database cannot be written",
        )
        sleep(30)
        load.more(300)
        sinks.rlimit(psutil.RLIMIT_FSIZE, no_limit)
        scenario.recover()
        assert stack.pid("sinks") == pid
    scenario.check()
