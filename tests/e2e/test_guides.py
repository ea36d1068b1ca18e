"""The commands of the README and of the guides for site owners and operators work as documented.

Blocks of the kinds `forever`, `install`, `root` and `cluster` are not run here:
`tests/contract/docs/test_commands.py` says why, and how they are checked.
"""

import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.stack import Stack
from tests.fixtures.markdown import ROOT, blocks, spans
from tests.fixtures.schema_registry import running
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

#: The README first, because it expects an empty database.
DOCUMENTS = ("README.md", "docs/guides/site-owner.md", "docs/guides/operate.md")
#: For operators; after the others, because they expect a stack with events.
MORE_DOCUMENTS = ("docs/kafka.md", "docs/schema-registry.md")
#: The number of schemas of another program in the documented registry.
_FOREIGN_SCHEMAS = 3
#: Values that vary.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DONE = "--- done ---"
#: Commands with an effect that must not be repeated.
_RUN_ONCE = re.compile(r" -d |-X POST|tokens create")


class Example(NamedTuple):
    """Commands and their documented output; no output is not compared."""

    commands: str
    output: str


def examples(name: str, kind: str = "") -> list[Example]:
    """Return the shell blocks of a kind in a document, each with the output block after it."""
    found: list[Example] = []
    is_wanted = False
    for block in blocks(ROOT / name):
        if block.language == "sh":
            is_wanted = block.kind == kind
            if is_wanted:
                found.append(Example(block.text, ""))
        elif not block.language and is_wanted:
            found[-1] = found[-1]._replace(output=block.text)
    return found


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
        """Run commands; return their output, including errors and the code of a failure."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        code = 'code=$?; [ $code = 0 ] || echo "exit code $code"'
        self._process.stdin.write(f"{commands}\n{code}\nprintf '\\n%s\\n' '{_DONE}'\n")
        self._process.stdin.flush()
        lines = iter(self._process.stdout.readline, f"{_DONE}\n")
        return "".join(lines).strip("\n")

    def close(self) -> None:
        """Kill the shell."""
        self._process.kill()
        self._process.communicate()


class Folder(NamedTuple):
    """A clone as far as the examples need it: `.venv`, and the data directory of a stack."""

    stack: Stack
    #: The address of a webhook receiver, in place of the documented one.
    webhook: str
    #: The address of a schema registry, in place of the documented one.
    registry: str

    def run(self, documented: list[Example]) -> None:
        """Run examples in order in one shell; fail if one prints another output."""
        shell = Shell(self.stack.data_dir.parent)
        try:
            for example in documented:
                self._check(shell, example)
        finally:
            shell.close()

    def _check(self, shell: Shell, example: Example) -> None:
        commands, output = map(self._with_addresses, example)
        last = ""

        def prints_it() -> bool:
            nonlocal last
            last = shell.run(commands)
            if not output:
                return "exit code" not in last
            return _normalized(last) == _normalized(output.strip("\n"))

        if output and not _RUN_ONCE.search(commands):
            eventually(prints_it, within_seconds=30, what=f"{commands} prints {output!r}")
        else:
            assert prints_it(), f"{commands} printed {last!r}, not {output!r}"

    def _with_addresses(self, text: str) -> str:
        text = text.replace("http://127.0.0.1:8080", self.stack.url)
        text = text.replace("http://127.0.0.1:8081", self.registry)
        return text.replace("https://example.com/hooks/headrace", self.webhook)


class _Receiver(BaseHTTPRequestHandler):
    """Accepts webhooks."""

    def do_POST(self) -> None:
        """Respond with 204."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def receiver() -> Iterator[str]:
    """Yield the address of a webhook receiver."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks/headrace"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Yield a folder with a new stack that has the documented data directory."""
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    settings = {
        "HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true",
        # The sinks may not have read a tick of the moment when headrace stops; a rebuild waits.
        "HEADRACE_STREAMS__TICK_SECONDS": "3600",
    }
    stack = Stack(tmp_path / ".headrace", settings)
    try:
        with receiver() as webhook, running("-foreign", str(_FOREIGN_SCHEMAS)) as registry:
            stack.start()
            yield Folder(stack, webhook, registry)
    finally:
        stack.end()


def test_the_examples_print_the_documented_output(folder: Folder) -> None:
    """On one stack, in the order of the documents; they need only Python, curl and a shell."""
    for name in DOCUMENTS:
        documented = examples(name)
        folder.run(documented)
        assert sum(bool(one.output) for one in documented) >= 2
    for name in MORE_DOCUMENTS:
        documented = examples(name)
        folder.run(documented)
        assert any(one.output for one in documented)
    with urllib.request.urlopen(f"{folder.stack.url}/metrics", timeout=5) as response:  # noqa: S310
        metrics = response.read().decode()
    named = {name for name in spans(ROOT / DOCUMENTS[-1]) if re.fullmatch("headrace_[a-z_]+", name)}
    assert len(named) >= 5
    assert {name for name in named if f"\n{name}" not in metrics} == set()


@pytest.mark.slow
def test_what_is_documented_for_a_stopped_stack_keeps_its_data(folder: Folder) -> None:
    """Rebuild, and restore a backup; then headrace continues."""
    stack = folder.stack
    for name in DOCUMENTS:
        folder.run(examples(name))
    count = "select count(*) as n from sessions"
    before = stack.rows(count)
    assert stack.stop() == 0
    stopped = [one for name in reversed(DOCUMENTS) for one in examples(name, "stopped")]
    folder.run([*examples("docs/guides/operate.md")[:1], *stopped])
    assert len(stopped) == 2

    stack.start()
    assert stack.post({"type": "pageview", "site_id": "my-site", "session_id": "next"})[0] == 202
    eventually(
        lambda: stack.rows(count) == [{"n": before[0]["n"] + 1}],
        within_seconds=30,
        what="the sessions of before and the next one are stored",
    )


def _normalized(output: str) -> str:
    return _UUID.sub("<id>", output)
