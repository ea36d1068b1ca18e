"""The systemd units are valid, and start commands that exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from tests.contract.infra.manifests import ROLES, is_setting
from tests.fixtures import debian

UNITS = Path("infra/systemd")


@pytest.fixture(scope="module")
def analyzer() -> str:
    """Give the path of systemd-analyze, installed where it is missing."""
    if shutil.which("systemd-analyze") is None:
        debian.install(("systemd",), LookupError("systemd-analyze is missing"))
    found = shutil.which("systemd-analyze")
    assert found is not None
    return found


def unit(name: str, folder: Path) -> Path:
    """Copy a unit, with the installed command in place of the one in /opt."""
    command = Path(sys.executable).with_name("headrace")
    text = (UNITS / name).read_text()
    path = folder / name.replace("@", "@api")
    path.write_text(text.replace("/opt/headrace/bin/headrace", str(command)))
    return path


@pytest.mark.parametrize(
    "name", ["headrace.service", "headrace@.service", "headrace-setup.service"]
)
def test_units_are_valid(name: str, analyzer: str, tmp_path: Path) -> None:
    """Each setting and value is known to systemd."""
    verified = subprocess.run(
        [analyzer, "verify", "--man=no", str(unit(name, tmp_path))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize("command", [*ROLES, "up"])
def test_units_start_commands_that_exist(command: str) -> None:
    """Each role that the guide enables has a command."""
    name = "headrace.service" if command == "up" else "headrace@.service"
    [started] = re.findall(
        r"^ExecStart=\S+/headrace (\S+)$", (UNITS / name).read_text(), re.MULTILINE
    )
    shown = CliRunner().invoke(app, [started.replace("%i", command), "--help"])

    assert shown.exit_code == 0, shown.output


def test_the_setup_runs_commands_that_exist() -> None:
    """Before every role of the machine that starts with it."""
    text = (UNITS / "headrace-setup.service").read_text()
    commands = re.findall(r"^ExecStart=\S+/headrace (.+)$", text, re.MULTILINE)

    assert commands == ["topics create", "db upgrade"]
    for command in commands:
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0
    (before,) = re.findall(r"^Before=(.+)$", text, re.MULTILINE)
    assert set(before.split()) == {f"headrace@{role}.service" for role in ROLES}


def test_every_variable_of_units_and_of_the_guide_is_a_setting() -> None:
    """A role with an unknown one would exit at once."""
    texts = [*(path.read_text() for path in UNITS.iterdir())]
    texts.append(Path("docs/guides/operate.md").read_text())
    names = {name for text in texts for name in re.findall(r"(HEADRACE_[A-Z0-9_]+)=", text)}

    assert "HEADRACE_METRICS__PORT" in names
    assert [name for name in names if not is_setting(name)] == []


def test_the_guide_enables_every_role() -> None:
    """In one line, as an operator copies it."""
    text = Path("docs/guides/operate.md").read_text()

    assert f"headrace@{{{','.join(ROLES)}}}" in text
