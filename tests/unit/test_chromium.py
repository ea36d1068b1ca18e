"""The browser of the tests: found, installed, or asked for in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_APT = """#!{shell}
echo "$@" >> {calls}
[ "$1" = update ] || for name in {installs}; do
  printf '#!{shell}\\n' > {folder}/$name; /bin/chmod +x {folder}/$name
done
echo "nothing is reached" >&2
exit {status}
"""


def _make_browser(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Do what `make browser` does, where there are no programs but those of a folder."""
    return subprocess.run(
        [sys.executable, "-m", "tests.fixtures.chromium"],
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _script(file: Path, text: str = "#!/bin/sh\n") -> None:
    file.write_text(text)
    file.chmod(0o755)


def _apt(folder: Path, installs: str, status: int = 0) -> Path:
    calls = folder / "calls"
    places = {"shell": "/bin/sh", "calls": calls, "folder": folder}
    _script(folder / "apt-get", _APT.format(installs=installs, status=status, **places))
    _script(folder / "sudo", '#!/bin/sh\nshift\nexec "$@"\n')
    return calls


def test_what_is_there_is_not_installed(tmp_path: Path) -> None:
    """Nor is anything said."""
    for name in ("google-chrome", "chromedriver"):
        _script(tmp_path / name)

    ended = _make_browser(tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_browser_that_is_missing_is_installed(tmp_path: Path) -> None:
    """With its driver; by root, or by sudo."""
    calls = _apt(tmp_path, installs="chromium chromedriver")

    ended = _make_browser(tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert calls.read_text().splitlines() == [
        "update",
        "-o DPkg::Lock::Timeout=300 install --yes --no-install-recommends chromium chromium-driver",
    ]


@pytest.mark.parametrize("has_apt", [True, False])
def test_without_a_browser_the_error_says_what_to_install(tmp_path: Path, has_apt: bool) -> None:
    """And why the installation failed."""
    if has_apt:
        _apt(tmp_path, installs="", status=100)

    ended = _make_browser(tmp_path)

    assert ended.returncode == 1
    assert "Install Chromium and its chromedriver" in ended.stderr
    assert ("update failed: nothing is reached" in ended.stderr) == has_apt


def test_a_browser_that_is_named_is_the_one(tmp_path: Path) -> None:
    """None else is installed in its place."""
    calls = _apt(tmp_path, installs="chromium chromedriver")

    ended = _make_browser(tmp_path, HEADRACE_TEST_CHROMIUM=os.fspath(tmp_path / "mine"))

    assert ended.returncode == 1
    assert f"HEADRACE_TEST_CHROMIUM names {tmp_path}/mine, which cannot be run" in ended.stderr
    assert not calls.exists()
