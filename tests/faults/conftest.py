"""The seed of a run, its stacks, and the table that it ends with."""

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.e2e.conftest import MakeStack, make_stack
from tests.e2e.stack import Stack
from tests.faults.kafka_log import KafkaLog
from tests.faults.report import HEAD, Figures, figures

__all__ = ["MakeStack", "make_stack"]

Report = Callable[[Stack, KafkaLog, Sequence[float]], None]

_FIGURES: pytest.StashKey[list[Figures]] = pytest.StashKey()


@pytest.fixture
def seed() -> int:
    """Give a fresh seed, or that of HEADRACE_TEST_SEED; pytest shows it when the test fails."""
    chosen = int(os.environ.get("HEADRACE_TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"HEADRACE_TEST_SEED={chosen}")  # noqa: T201 - to repeat it
    return chosen


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Give a function that puts a scenario's figures into the table."""
    lines = request.config.stash.setdefault(_FIGURES, [])
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def note(stack: Stack, log: KafkaLog, recoveries: Sequence[float]) -> None:
        lines.append(figures(name, stack, log, recoveries))

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the table."""
    if lines := config.stash.get(_FIGURES, []):
        terminalreporter.section("fault scenarios")
        for line in (HEAD, *(one.line() for one in lines)):
            terminalreporter.write_line(line)
