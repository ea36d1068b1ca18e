"""Whole stacks, each started once for the tests that share it."""

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
