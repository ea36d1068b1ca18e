"""The libraries of the guides' programs, pinned, downloaded once per machine and version.

A guide's install commands download nothing in the tests: they are checked against the pins.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

from headrace.local.broker import maven
from headrace.local.broker.jars import cache_directory
from tests.fixtures import debian
from tests.fixtures.installed import MissingError

_FOLDER = Path(__file__).parent
UV = _FOLDER.parents[2] / ".tools" / "bin" / "uv"
#: Debian's packages by tool; None if Debian has none that is new enough.
_TOOLS = {
    "kcat": "kcat",
    "node": "nodejs",
    "npm": "npm",
    "go": None,
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "mvn": "maven",
}
#: The limit of a file name, less the suffix of a lock.
_MAX_NAME = 200
_MORE_PATH = "/usr/local/go/bin"


def search_path() -> str:
    """Return the PATH that finds the tools."""
    return f"{os.environ.get('PATH', os.defpath)}:{_MORE_PATH}"


def require(*words: str) -> None:
    """Install the tools among these words that this machine lacks; fail with instructions."""
    for tool in sorted(_TOOLS.keys() & set(words)):
        if shutil.which(tool, path=search_path()) is not None:
            continue
        package = _TOOLS[tool]
        if package is None:
            pytest.fail(f"The guides need {tool}, which is neither on the PATH nor in {_MORE_PATH}")
        advice = f"The guides need {tool}, which is not on the PATH (Debian: apt install {package})"
        try:
            debian.install((package,), MissingError(advice))
        except MissingError as error:
            pytest.fail(str(error))


def install(commands: str, folder: Path) -> None:
    """Provide in `folder` what the install commands of a guide install."""
    _INSTALLERS[commands.split(maxsplit=1)[0]](commands, folder)


def is_install(commands: str) -> bool:
    """Return True for install commands."""
    words = commands.split()
    return words[0] in _INSTALLERS and words[1] in _SUBCOMMANDS


def _install_python(commands: str, folder: Path) -> None:
    """Check that the packages are installed, which `uv.lock` pins; link those with a version."""
    for package in commands.split()[2:]:
        if "==" not in package:
            assert version(package)
            continue
        for path in python_package(package).iterdir():
            (folder / path.name).symlink_to(path)


def python_package(pinned: str) -> Path:
    """Return a folder with a package, `name==version`, without its dependencies."""

    def download(target: Path) -> None:
        options = ["--quiet", "--no-deps", "--python", sys.executable, "--target", str(target)]
        run([str(UV), "pip", "install", *options, pinned], target)

    return cached(f"{pinned.replace('==', '-')}-{sys.implementation.cache_tag}", download)


def _install_node(commands: str, folder: Path) -> None:
    """Link the packages of `package-lock.json`."""
    require("node", "npm")
    pins = json.loads((_FOLDER / "node" / "package.json").read_text())["dependencies"]
    for package in commands.split()[2:]:
        (name, _, number) = package.rpartition("@")
        assert pins[name] == number, f"{package} is not in tests/e2e/guides/node/package.json"
    (folder / "node_modules").symlink_to(node_packages(_FOLDER / "node"))


def node_packages(project: Path) -> Path:
    """Return the folder `node_modules` with what a project's `package-lock.json` pins."""
    lock = (project / "package-lock.json").read_bytes()

    def download(target: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(project / name, target)
        run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], target)

    return cached(f"node-{sha256(lock).hexdigest()[:12]}", download) / "node_modules"


def _install_go(commands: str, folder: Path) -> None:
    """Copy `go.mod` and `go.sum`; Go itself has a cache."""
    require("go")
    pins = (_FOLDER / "go" / "go.mod").read_text()
    for name, number in re.findall(r"(\S+)@(v\S+)", commands):
        assert f"{name} {number}\n" in pins, f"{name}@{number} is not in tests/e2e/guides/go/go.mod"
    for name in ("go.mod", "go.sum"):
        shutil.copy(_FOLDER / "go" / name, folder)
    run(["go", "mod", "download"], folder)


def _install_java(commands: str, folder: Path) -> None:
    """Link the folder `libs` that Maven fills for `pom.xml`, whose versions are pinned."""
    require("java", "javac", "mvn")
    pom = (folder / "pom.xml").read_bytes()

    def download(target: Path) -> None:
        (target / "pom.xml").write_bytes(pom)
        run(["mvn", "--batch-mode", "--quiet", *commands.split()[1:]], target)

    downloaded = cached(f"maven-{sha256(pom).hexdigest()[:12]}", download)
    (folder / "libs").symlink_to(downloaded / "libs")


def jars(endpoint: str) -> Path:
    """Return a folder with Maven artifacts, `group:artifact:version` joined by `+`."""

    def download(target: Path) -> None:
        for jar in maven.download(endpoint, target / "jgo"):
            shutil.copy(jar, target)
        shutil.rmtree(target / "jgo")

    digest = sha256(endpoint.encode()).hexdigest()[:12]
    name = endpoint.replace(":", "-")
    return cached(name if len(name) < _MAX_NAME else f"jars-{digest}", download)


_INSTALLERS = {
    "pip": _install_python,
    "npm": _install_node,
    "go": _install_go,
    "mvn": _install_java,
}
_SUBCOMMANDS = {"install", "mod", "get", "dependency:copy-dependencies"}


def cached(name: str, download: Callable[[Path], None]) -> Path:
    """Return the folder of this name in the user's cache; `download` fills it the first time."""
    base = cache_directory() / "guides"
    base.mkdir(parents=True, exist_ok=True)
    target = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            scratch = base / f"{name}.partial"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            download(scratch)
            scratch.rename(target)
    return target


def run(command: list[str], folder: Path) -> None:
    """Run a command in a folder; it must succeed."""
    environment = {**os.environ, "PATH": search_path()}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
