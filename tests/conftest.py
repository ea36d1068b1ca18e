"""Fixtures of all tests, and the profiles of property tests."""

import gc
import os
import signal
from typing import Any

import pytest
from hypothesis import settings

from tests.fixtures import distribution

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.pgbouncer",
    "tests.fixtures.postgres",
    "tests.fixtures.schema_registry",
    "tests.fixtures.secure_kafka",
]

# Collecting creates millions of objects that are used until the end. The garbage collector would
# visit them again and again: for a quarter of the time of collecting, and during each test.
gc.disable()

# Background processes of a script ignore SIGINT, those of `nohup` SIGHUP, and child processes
# inherit this: a stack that a test starts would not stop on these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No deadline, because slow machines must not fail tests. CI always uses the same examples, so that
# unrelated changes do not fail.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
# pytest --hypothesis-profile=nightly tests/property
settings.register_profile("nightly", deadline=None, max_examples=3_000)
# `make unit`: fast feedback; `make test` tries all examples.
settings.register_profile("quick", deadline=None, max_examples=10)
# `make mutants`: each mutant runs the tests again, so that the same examples must find it.
settings.register_profile(
    "mutants", deadline=None, max_examples=15, derandomize=True, database=None
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_collection_finish() -> None:
    """Exclude everything so far from garbage collection."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests for the processes of pytest-xdist; one process keeps the order."""
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        on_broker = {
            position
            for position, item in enumerate(items)
            if "kafka" in getattr(item, "fixturenames", ())
        }
        order = distribution.order([item.nodeid for item in items], processes, on_broker)
        items[:] = [items[position] for position in order]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table of the fault scenarios that were run, if any.

    It is here because the controller of pytest-xdist loads no other conftest.
    """
    from tests.faults import report  # noqa: PLC0415 - needed at the end only

    report.show(terminalreporter)
