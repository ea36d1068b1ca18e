"""Files of processes are missing, stale, or belong to another installation."""

import os
import shutil

import pytest

from headrace.local.broker.local_kafka import LocalKafka
from tests.e2e.conftest import MakeStack
from tests.faults.brokers import delete_groups
from tests.faults.scenario import Scenario
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GROUPS = ["headrace-streams", "headrace-sinks", "headrace-live"]


def test_all_but_the_brokers_data_and_the_database_is_deleted(scenario: Scenario) -> None:
    """Process ids, addresses, states of roles and logs are not needed."""
    stack = scenario.stack
    with scenario.load():
        assert stack.stop() == 0
        for part in ("run", "logs"):
            shutil.rmtree(stack.data_dir / part)
        stack.start()
        scenario.recover()
    scenario.check()


def test_run_files_of_a_crash_name_other_processes(scenario: Scenario) -> None:
    """Their ids are those of other processes, which are not killed; the address is not in use."""
    stack = scenario.stack
    with scenario.load():
        stack.crash()
        run = stack.data_dir / "run"
        for role in ("web", "streams", "live", "sinks", "kafka"):
            (run / f"{role}.pid").write_text(f"{os.getpid()}\n")
        (run / "kafka.address").write_text("127.0.0.1:1\n")
        stack.start()
        scenario.recover()
    scenario.check()


def test_the_consumer_groups_are_deleted(scenario: Scenario) -> None:
    """All topics are read from the start again, without any effect."""
    stack = scenario.stack
    with scenario.load():
        assert stack.stop() == 0
        with LocalKafka(stack.data_dir) as broker:
            delete_groups(broker.bootstrap, GROUPS)
        stack.start()
        scenario.recover()
    scenario.check()


def test_the_database_is_deleted_and_kafka_kept(scenario: Scenario) -> None:
    """It is recreated from the topics, which have a retention of a week."""
    stack = scenario.stack
    with scenario.load():
        assert stack.stop() == 0
        for file in stack.data_dir.glob("headrace.db*"):
            file.unlink()
        stack.start()
        scenario.recover()
    scenario.check()


def test_kafkas_data_is_deleted_and_the_database_kept(make_stack: MakeStack) -> None:
    """It does not start, and reports the reason and the remedy; with a new database it starts."""
    stack = make_stack({})
    event = {"type": "pageview", "site_id": "shop", "session_id": "s"}
    assert stack.post(event)[0] == 202
    eventually(
        lambda: stack.rows("SELECT 1 FROM sessions"),
        within_seconds=60,
        what="the session is stored",
    )
    assert stack.stop() == 0
    shutil.rmtree(stack.data_dir / "kafka")
    with pytest.raises(AssertionError, match="headrace up ended"):
        stack.start()
    screen = " ".join(stack.screen.split())
    assert "The database holds" in screen
    assert "its events would be dropped as old" in screen
    assert "headrace adopt-cluster" in screen

    stack.settings["HEADRACE_DATABASE__URL"] = f"sqlite:///{stack.data_dir / 'new.db'}"
    stack.start()
    assert stack.post(event)[0] == 202
    eventually(
        lambda: stack.rows("SELECT 1 FROM sessions"),
        within_seconds=60,
        what="the session is stored",
    )
