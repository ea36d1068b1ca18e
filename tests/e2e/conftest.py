"""Whole stacks, each started once for the tests that share it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.stack import Stack

MakeStack = Callable[[Mapping[str, str]], Stack]


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[MakeStack]:
    """Give a function that starts a stack with settings; it is ended with the test."""
    made: list[Stack] = []

    def make(settings: Mapping[str, str]) -> Stack:
        stack = Stack(tmp_path / f"data-{len(made)}", settings)
        made.append(stack)
        stack.start()
        return stack

    yield make
    for stack in made:
        stack.end()
