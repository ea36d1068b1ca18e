"""The wheel runs `headrace up`, installed by pip, uvx and pipx, on each Python of this machine."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from headrace.local.broker.ports import free_port
from headrace.local.process import spawn, terminate
from tests.fixtures.markdown import ROOT
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

UV = ROOT / ".tools/bin/uv"
_START_SECONDS = 300
_STOP_SECONDS = 60


@cache
def pythons() -> list[str]:
    """Return an interpreter of each version on this machine that headrace supports."""
    found = []
    for minor in range(11, 15):
        managed = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        named = shutil.which(f"python3.{minor}")
        found += [*map(str, managed), *([named] if named else [])][:1]
    return found or [sys.executable]


def cases() -> list[tuple[str, str]]:
    """Return each interpreter with pip, and the newest also with uvx and pipx."""
    newest = pythons()[-1]
    return [*((python, "pip") for python in pythons()), (newest, "uvx"), (newest, "pipx")]


def wheel(python: str, folder: Path) -> Path:
    """Build the wheel for an interpreter."""
    subprocess.run(
        [UV, "build", "--quiet", "--wheel", "--python", python, "--out-dir", folder, ROOT],
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def install(how: str, python: str, folder: Path) -> list[str]:
    """Install the wheel with the extra `local`; return the command."""
    requirement = f"headrace[local] @ {wheel(python, folder / 'dist').as_uri()}"
    if how == "uvx":
        return [str(UV), "tool", "run", "--python", python, "--from", requirement, "headrace"]
    environment = folder / "environment"
    if how == "pip":
        subprocess.run([python, "-m", "venv", environment], check=True)
        pip = [str(environment / "bin/pip"), "install", "--quiet", requirement]
        subprocess.run(pip, check=True)
        return [str(environment / "bin/headrace")]
    pipx = [str(UV), "tool", "run", "pipx", "install", "--quiet", "--python", python, requirement]
    homes = {"PIPX_HOME": str(environment), "PIPX_BIN_DIR": str(environment / "bin")}
    subprocess.run(pipx, env={**os.environ, **homes}, check=True)
    return [str(environment / "bin/headrace")]


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[int]:
    """Run `headrace up` elsewhere; yield its port when it is ready. It must end with 0."""
    port, screen = free_port(), folder / "screen"
    argv = [*command, "up", "--data-dir", str(folder / "data"), "--port", str(port)]
    process = spawn(argv, log=screen, cwd=folder)

    def is_ready() -> bool:
        assert process.poll() is None, screen.read_text()
        return "headrace is ready" in screen.read_text()

    try:
        eventually(is_ready, within_seconds=_START_SECONDS, what="headrace is ready")
        yield port
        assert terminate(process, _STOP_SECONDS) == 0, screen.read_text()
    finally:
        terminate(process, 0)


@pytest.mark.parametrize(("python", "how"), cases())
def test_up_runs_from_the_wheel(python: str, how: str, tmp_path: Path) -> None:
    """With the compiled modules of the wheel, and no file of this repository."""
    with running(install(how, python, tmp_path), tmp_path) as port:
        event = {"type": "pageview", "site_id": "shop", "session_id": "s1"}
        url = f"http://127.0.0.1:{port}/api/event"
        with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=20) as response:
            assert response.status == 202
