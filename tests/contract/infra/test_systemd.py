"""The systemd units are valid, and start commands that exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from tests.fixtures import debian

UNITS = Path("infra/systemd")
#: What the instances of `headrace@.service` may be.
ROLES = ("api", "streams", "live", "sinks", "query")


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


@pytest.mark.parametrize("name", ["headrace.service", "headrace@.service"])
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


def test_the_guide_enables_every_role() -> None:
    """In one line, as an operator copies it."""
    text = Path("docs/guides/operate.md").read_text()

    assert f"headrace@{{{','.join(ROLES)}}}" in text
