"""Where `replay` and `demo` send events, when they are not told."""

import os
from pathlib import Path

import pytest

from infra.cli_target import base_url
from infra.data_dir import DataDir
from infra.errors import UsageError, UserError
from infra.process import write_pid


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder without a data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_API__PORT", "8081")


def _run_one(data_dir: Path, url: str, pid: int) -> None:
    folder = DataDir(data_dir)
    folder.write_address(url)
    write_pid(folder.pid("web"), pid)


def test_it_is_the_headrace_that_runs_in_the_data_directory() -> None:
    """Whatever port that was given: in the directory named, else in the default one."""
    _run_one(Path("mine"), "http://127.0.0.1:9001", os.getpid())
    _run_one(Path(".headrace"), "http://[::1]:9002", os.getpid())

    assert base_url(None, Path("mine")) == "http://127.0.0.1:9001"
    assert base_url(None, None) == "http://[::1]:9002"
    assert base_url("http://127.0.0.1:9003/api/event", None) == "http://127.0.0.1:9003"


def test_where_none_runs_it_is_where_the_settings_say() -> None:
    """As when the role `api` was started alone."""
    assert base_url(None, None) == "http://127.0.0.1:8081"


@pytest.mark.parametrize("has_run", [False, True])
def test_a_directory_that_is_named_must_have_one_that_runs(has_run: bool) -> None:
    """Events meant for it shall not go to another; one that was killed left its address there."""
    if has_run:
        _run_one(Path("mine"), "http://127.0.0.1:9001", 2**22 + 1)  # no process has this id

    with pytest.raises(UserError, match=r"No headrace runs in .*mine.*headrace up --data-dir mine"):
        base_url(None, Path("mine"))


def test_two_places_are_one_too_many() -> None:
    """It says which options they are."""
    with pytest.raises(UsageError, match="--to and --data-dir"):
        base_url("http://127.0.0.1:8080", Path("mine"))
