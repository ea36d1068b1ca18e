"""Commands of headrace as processes, which are killed at the end of a test."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest


class Start(Protocol):
    """Starts `headrace` with arguments, and with options of `subprocess.Popen`."""

    def __call__(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Return the process."""


@pytest.fixture
def start() -> Iterator[Start]:
    """Yield a function that starts commands."""
    started: list[subprocess.Popen[Any]] = []

    def run(*arguments: str, **options: Any) -> subprocess.Popen[Any]:
        headrace = str(Path(sys.executable).with_name("headrace"))
        started.append(subprocess.Popen([headrace, *arguments], **options))
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
