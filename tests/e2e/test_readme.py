"""The README's examples, run in order in a shell, print the documented output."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.snippets import snippets
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).parents[2]
#: Values that vary.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_DONE = "--- done ---"


def examples() -> list[tuple[str, str]]:
    """Return each block of commands of the section `Start`, with its output."""
    return [
        (snippet.text, snippet.output)
        for snippet in snippets(ROOT / "README.md")
        if snippet.section == "Start" and not snippet.text.startswith("make ")
    ]


class Shell:
    """A shell in a folder, which keeps variables between blocks."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Without the virtual environment, as for a new user.
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        )

    def run(self, commands: str) -> str:
        """Run commands; return their output, including errors."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{commands}\nprintf '\\n%s\\n' '{_DONE}'\n")
        self._process.stdin.flush()
        lines = iter(self._process.stdout.readline, f"{_DONE}\n")
        return "".join(lines).strip("\n")

    def close(self) -> None:
        """Kill the shell."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Yield a new stack with the README's data directory."""
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    stack = Stack(tmp_path / ".headrace")
    try:
        stack.start()
        yield stack
    finally:
        stack.end()


def test_the_examples_print_the_documented_output(stack: Stack) -> None:
    """They need only Python, curl and a shell."""
    shell = Shell(stack.data_dir.parent)
    blocks = examples()
    try:
        for commands, output in blocks:
            _check(shell, _with_address(stack, commands), _with_address(stack, output).strip("\n"))
    finally:
        shell.close()

    assert len(blocks) >= 8
    assert sum(bool(output) for _, output in blocks) >= 7


def _check(shell: Shell, commands: str, output: str) -> None:
    # Reads are repeated until the result is there; writes run once.
    seconds = 0 if " -d " in commands or "create" in commands else 30
    last = ""

    def prints_it() -> bool:
        nonlocal last
        last = shell.run(commands)
        return _normalized(last) == _normalized(output)

    if seconds:
        eventually(prints_it, within_seconds=seconds, what=f"{commands} prints {output!r}")
    else:
        assert prints_it(), f"{commands} printed {last!r}, not {output!r}"


def _with_address(stack: Stack, text: str) -> str:
    """Return the text with the address of the stack."""
    return text.replace("http://127.0.0.1:8080", stack.url)


def _normalized(output: str) -> str:
    return _TIME.sub("<time>", _UUID.sub("<id>", output))
