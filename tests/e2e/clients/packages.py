"""The published clients of other systems, from npm and PyPI, downloaded once per machine."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from tests.e2e.guides import toolchains

_ESBUILD = "esbuild@0.28.2"
_SECONDS = 120


def node(script: str, folder: Path, url: str, *packages: str) -> str:
    """Run an ES module with these packages, `name@version`, and return what it printed.

    Its environment has the address of the server as COLLECTOR. It must succeed.
    """
    toolchains.require("node")
    (folder / "node_modules").symlink_to(_npm(*packages) / "node_modules")
    (folder / "client.mjs").write_text(script)
    return _output(["node", "client.mjs"], folder, {"COLLECTOR": url})


def python(script: str, folder: Path, url: str, *packages: str) -> str:
    """Run a Python program with these packages, `name==version`; otherwise like `node`."""
    (folder / "client.py").write_text(script)
    environment = {"COLLECTOR": url, "PYTHONPATH": str(_pypi(*packages))}
    return _output([sys.executable, "client.py"], folder, environment)


def bundle(script: str, folder: Path, url: str, *packages: str) -> None:
    """Write `client.js` for a page, of an ES module with these packages.

    The module reads the address of the server from the constant COLLECTOR.
    """
    modules = _npm(*packages, _ESBUILD) / "node_modules"
    (folder / "node_modules").symlink_to(modules)
    (folder / "entry.mjs").write_text(script)
    define = [f'--define:COLLECTOR="{url}"', '--define:process.env.NODE_ENV="production"']
    command = [str(modules / ".bin" / "esbuild"), "entry.mjs", "--bundle", *define]
    toolchains.run([*command, "--log-level=error", "--outfile=client.js"], folder)


def _npm(*packages: str) -> Path:
    """Return a folder whose `node_modules` has these packages."""
    toolchains.require("node", "npm")

    def download(target: Path) -> None:
        (target / "package.json").write_text('{"private": true}')
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"]
        toolchains.run(["npm", "install", *options, *packages], target)

    return toolchains.cached(f"npm-{_digest(packages)}", download)


def _pypi(*packages: str) -> Path:
    """Return a folder with these packages and their dependencies."""

    def download(target: Path) -> None:
        options = ["--quiet", "--python", sys.executable, "--target", str(target)]
        toolchains.run([str(toolchains.UV), "pip", "install", *options, *packages], target)

    return toolchains.cached(f"pypi-{_digest(packages)}-{sys.implementation.cache_tag}", download)


def _digest(packages: tuple[str, ...]) -> str:
    return sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]


def _output(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": toolchains.search_path(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"the client failed:\n{output}"
    return output
