"""Commands and settings that the documents name exist, and blocks that are not run are valid.

`tests/e2e/test_guides.py` runs the other blocks of the README and the guides.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from headrace.cli.main import app
from schemas.settings import DATA_DIR_VARIABLE, GROUPS, PREFIX, load_settings
from tests.fixtures.markdown import ROOT, blocks, documents, spans

#: Records of the past may name what has been removed.
DOCUMENTS = [
    path for path in documents() if path.name != "CHANGELOG.md" and path.parent.name != "adr"
]
#: The kinds of `sh` blocks, and why `tests/e2e/test_guides.py` does not run some of them in order.
KINDS = {
    "": "",
    "cluster": "needs a Kafka cluster and a PostgreSQL server",
    "forever": "runs until Ctrl-C, or replaces the running program",
    "install": "downloads packages; .ci/run installs a wheel in the same way",
    "root": "needs root; test_systemd.py verifies the units",
    "stopped": "runs while headrace is stopped",
}
#: Commands that generated documents already name.
UPCOMING = {"sites"}
documented = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def _code(path: Path) -> Iterator[str]:
    """Yield the lines of shell blocks, without comments, and the code spans."""
    for block in blocks(path):
        if block.language == "sh":
            yield from re.sub(
                r"\\\n|(?:^|\s)#.*$", " ", block.text, flags=re.MULTILINE
            ).splitlines()
    yield from spans(path)


def _invocations(path: Path, program: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of a program, up to the end of the command."""
    for line in _code(path):
        for command in re.split(r"[|;&()<>]|…", line):
            try:
                words = shlex.split(command)
            except ValueError:  # a quoted text over several lines
                words = command.split()
            for index, word in enumerate(words):
                is_value = index > 0 and words[index - 1].startswith("-")
                if not is_value and (word == program or word.endswith(f"/bin/{program}")):
                    yield words[index + 1 :]
                    break


def _problem(words: list[str]) -> str | None:
    """Return what is wrong with the arguments of `headrace`."""
    command = typer.main.get_command(app)
    for word in words:
        name = word.partition("=")[0]
        if word.startswith("-"):
            options = {one for param in command.params for one in param.opts} | {"--help"}
            if name not in options:
                return f"{command.name} has no option {name}"
        elif commands := getattr(command, "commands", None):
            command = commands.get(word)
            if command is None and word in UPCOMING:
                return None
            if command is None:
                return f"headrace has no command {word}"
    return None


@documented
def test_every_headrace_command_and_option_exists(path: Path) -> None:
    """As `headrace COMMAND --help` shows them."""
    problems = [_problem(words) for words in _invocations(path, "headrace") if words]

    assert [problem for problem in problems if problem is not None] == []


@documented
def test_every_make_target_exists(path: Path) -> None:
    """`bench-NAME` is one target for all benchmarks."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {words[0] for words in _invocations(path, "make") if words}

    assert {name for name in named if not name.startswith("bench-")} <= targets


@documented
def test_every_setting_exists(path: Path) -> None:
    """`HEADRACE_TEST_…` are variables of the tests."""
    known = {
        f"{PREFIX}{group}__{name.upper()}"
        for group, of in GROUPS.items()
        for name in of.model_fields
    }
    known |= {DATA_DIR_VARIABLE, *(f"{PREFIX}{group}__" for group in GROUPS)}
    named = set(re.findall(rf"{PREFIX}(?!TEST_)[A-Z_]+", path.read_text("utf-8")))

    assert named <= known | {PREFIX, "HEADRACE_PORT"}


@documented
def test_every_shell_block_is_of_a_known_kind_and_can_be_parsed(path: Path) -> None:
    """By bash, without running it."""
    for block in blocks(path):
        if block.language == "sh":
            assert block.kind in KINDS
            parsed = subprocess.run(
                ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
            )
            assert (parsed.returncode, parsed.stderr) == (0, ""), block.text


def test_the_settings_of_the_operators_guide_are_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each environment file in it, as systemd would read it."""
    monkeypatch.chdir(tmp_path)
    files = [
        dict(re.findall(rf"^({PREFIX}\w+)=(.*)$", block.text, re.MULTILINE))
        for block in blocks(ROOT / "docs" / "guides" / "operate.md")
        if block.kind == "root" and f"\n{PREFIX}" in block.text
    ]
    for settings in files:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
    loaded = load_settings()

    assert len(files) == 2
    assert loaded.kafka.partitions == 12
    assert loaded.database.is_postgres
