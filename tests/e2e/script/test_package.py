"""The tracker as a package: its build, its types, and the tests of its pure parts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from producer_api.tracker.scripts import NAMES, load
from tests.e2e.guides.toolchains import node_packages, require, run, search_path

_PROJECT = Path(__file__).parents[3] / "producer_api" / "tracker"
_UNIT_TESTS = Path(__file__).parent / "unit"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the package with the tools that it pins."""
    require("node", "npm")
    ignore = shutil.ignore_patterns("node_modules", "__pycache__")
    project = Path(shutil.copytree(_PROJECT, tmp_path / "tracker", ignore=ignore))
    (project / "node_modules").symlink_to(node_packages(_PROJECT))
    return project


def test_the_scripts_are_built_from_their_source(project: Path) -> None:
    """After a change, run `npm ci && npm run build` in producer_api/tracker."""
    run(["npm", "run", "build", "--", "rebuilt"], project)

    built = {name: (project / "rebuilt" / name).read_bytes() for name in NAMES}
    assert built == {name: load(name).content for name in NAMES}


def test_the_types_are_right(project: Path) -> None:
    """Those of the source, and of the package for its users."""
    run(["npm", "run", "types"], project)


def test_the_pure_parts_satisfy_their_tests() -> None:
    """In Node."""
    require("node")
    tests = sorted(map(str, _UNIT_TESTS.glob("*.test.js")))
    environment = {**os.environ, "PATH": search_path()}
    done = subprocess.run(
        ["node", "--test", *tests], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_the_package_has_what_it_exports(project: Path) -> None:
    """Its sources, both scripts and its types, and nothing else."""
    environment = {**os.environ, "PATH": search_path()}
    packed = subprocess.run(
        ["npm", "pack", "--dry-run"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    for name in ("dist/script.js", "dist/script.full.js", "index.d.ts", "src/index.js"):
        assert name in packed
    for other in ("node_modules", "scripts.py", "build.js"):
        assert other not in packed
