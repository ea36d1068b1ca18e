"""What a user sees of an error that ends a command: a sentence and an exit code, no traceback."""

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.cli import main as cli
from headrace.errors import UserError
from headrace.local.data_dir_option import read_env_file
from headrace.roles.logs import configure_logging
from schemas.observation_settings import LogSettings
from schemas.settings import load_settings
from sinks.sql.migrate import upgrade

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a function that runs the command line, which ends with an error; its exit code."""
    before = os.umask(0o077)

    def run_with(error: Exception | None = None, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["headrace", *arguments])
        if error is not None:

            def fail() -> None:
                raise error

            monkeypatch.setattr(cli, "app", fail)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    yield run_with
    os.umask(before)


def _log_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log in JSON, as a role does."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure_logging(LogSettings(format="json"), "sinks")
    logging.captureWarnings(capture=False)


def test_a_file_that_must_not_be_accessed_is_named_with_the_owner(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command may have to be run as that user."""
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "gone" / "pid"))

    assert run(error) == 1
    owner = f"{tmp_path} belongs to the user {tmp_path.owner()}"
    assert capsys.readouterr().err == (
        f"{tmp_path / 'gone' / 'pid'} cannot be accessed: Permission denied. {owner}\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("tokens", "create", "--all", "--name", "\udcff"),
        ("erase", "--site", "shop", "--visitor", "\udcff"),
        ("alerts", "add", "--site", "a", "--rule", "payment", "--url", "x", "--param", "a=\udcff"),
    ],
)
def test_an_argument_that_is_not_utf8_is_wrong_use(
    run: Run,
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Databases, Kafka and JSON cannot contain it."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    upgrade(f"sqlite:///{tmp_path}/headrace.db")

    assert run(None, *arguments, "--data-dir", str(tmp_path)) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_output_fits_every_locale(tmp_path: Path) -> None:
    """Characters that it does not have are escaped."""
    upgrade(f"sqlite:///{tmp_path}/headrace.db")
    done = subprocess.run(
        [sys.executable, "-m", "headrace", "audit", "--data-dir", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("\\u2713 All results match the events.")


@pytest.mark.parametrize("error", [UserError("no such table"), ValueError("no such table")])
def test_the_last_entry_of_a_json_log_says_why_a_role_ended(
    run: Run,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In one line; with the traceback if the error is unexpected."""
    _log_json(monkeypatch)
    assert run(error) == 1
    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)

    assert (entry["level"], entry["role"]) == ("CRITICAL", "sinks")
    assert entry["message"].endswith("no such table")
    assert ("exception" in entry) == isinstance(error, ValueError)


@pytest.fixture
def _hidden_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a directory that this user cannot search, as after `sudo -u headrace`."""
    monkeypatch.chdir(tmp_path)
    user = os.geteuid()
    tmp_path.chmod(0)
    if user == 0:
        os.seteuid(65534)  # root may search each directory
    yield
    os.seteuid(user)
    tmp_path.chmod(0o700)


@pytest.mark.usefixtures("_hidden_directory")
def test_commands_run_in_a_directory_that_is_hidden_from_their_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is no `.env` file that this user may read."""
    monkeypatch.delenv("HEADRACE_DATA_DIR", raising=False)
    read_env_file()

    assert load_settings().kafka.partitions


def test_an_env_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have settings that matter."""
    (tmp_path / ".env").write_text("HEADRACE_API__PORT=1\n")
    monkeypatch.chdir(tmp_path)
    user = os.geteuid()
    (tmp_path / ".env").chmod(0)
    tmp_path.chmod(0o755)
    if user == 0:
        os.seteuid(65534)
    try:
        read_env_file()
        with pytest.raises(ValueError, match=r"\.env cannot be read: Permission denied"):
            load_settings()
    finally:
        os.seteuid(user)
