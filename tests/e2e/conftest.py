"""Whole stacks, and the seed that what they are given is made from."""

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.stack import Stack


class MakeStack(Protocol):
    """Starts a stack with settings, and options of `headrace up`; it is ended with the test."""

    def __call__(self, settings: Mapping[str, str], *options: str) -> Stack:
        """Return it when it is ready."""


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[MakeStack]:
    """Give a function that starts stacks."""
    made: list[Stack] = []

    def make(settings: Mapping[str, str], *options: str) -> Stack:
        stack = Stack(tmp_path / f"data-{len(made)}", settings, options)
        made.append(stack)
        stack.start()
        return stack

    yield make
    for stack in made:
        stack.end()


@pytest.fixture
def seed() -> int:
    """Give a fresh seed, or that of HEADRACE_TEST_SEED; pytest shows it when the test fails."""
    chosen = int(os.environ.get("HEADRACE_TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"HEADRACE_TEST_SEED={chosen}")  # noqa: T201 - to repeat it
    return chosen
