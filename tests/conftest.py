"""Fixtures that every test may ask for, and how properties are tried."""

import os
import signal
from typing import Any

from hypothesis import settings

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.pgbouncer",
    "tests.fixtures.postgres",
    "tests.fixtures.secure_kafka",
]

# Processes in the background of a script ignore SIGINT, those below `nohup` SIGHUP, and their
# children inherit that: a stack that a test starts would not end on these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A slow machine is no failure. CI tries the same examples each time, so that a change that
# broke nothing fails nothing; what it finds on a developer's machine can be repeated.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
# For once in a while: pytest --hypothesis-profile=nightly tests/property
settings.register_profile("nightly", deadline=None, max_examples=3_000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """End a run with the table of its fault scenarios, if there were any.

    Here, for the process that only shows what others ran collects no test, and no other conftest.
    """
    from tests.faults import report  # noqa: PLC0415 - only who shows it needs it

    report.show(terminalreporter)
