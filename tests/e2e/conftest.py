"""Fixtures that start stacks, and the seed of random traffic."""

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.stack import Stack


class MakeStack(Protocol):
    """Starts a stack with settings and options of `headrace up`; it is stopped with the test."""

    def __call__(self, settings: Mapping[str, str], *options: str) -> Stack:
        """Return the stack when it is ready."""


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[MakeStack]:
    """Yield a function that starts stacks."""
    stacks: list[Stack] = []

    def make(settings: Mapping[str, str], *options: str) -> Stack:
        stack = Stack(tmp_path / f"data-{len(stacks)}", settings, options)
        stacks.append(stack)
        stack.start()
        return stack

    yield make
    for stack in stacks:
        stack.end()


@pytest.fixture
def seed() -> int:
    """Return a random seed, or HEADRACE_TEST_SEED; pytest prints it if the test fails."""
    chosen = int(os.environ.get("HEADRACE_TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"HEADRACE_TEST_SEED={chosen}")  # noqa: T201 - to reproduce a failure
    return chosen
