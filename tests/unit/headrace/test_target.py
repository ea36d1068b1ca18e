"""The server that `replay` and `demo` send events to."""

import os
from pathlib import Path

import pytest
from typer import BadParameter

from headrace.cli.target import base_url
from headrace.errors import UsageError, UserError
from headrace.local.data_dir import DataDir
from headrace.local.process import write_pid
from headrace.traffic.replay.endpoint import endpoint


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a directory without a data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_API__PORT", "8081")


def _run_one(data_dir: Path, url: str, pid: int) -> None:
    folder = DataDir(data_dir)
    folder.write_address(url)
    write_pid(folder.pid("web"), pid)


def test_the_default_is_the_server_of_the_data_directory() -> None:
    """With its port; the directory is the given or the default one."""
    _run_one(Path("mine"), "http://127.0.0.1:9001", os.getpid())
    _run_one(Path(".headrace"), "http://[::1]:9002", os.getpid())

    assert base_url(None, Path("mine")) == "http://127.0.0.1:9001"
    assert base_url(None, None) == "http://[::1]:9002"
    assert base_url("http://127.0.0.1:9003/a%2Fb/", None) == "http://127.0.0.1:9003/a%2Fb/"


def test_the_environment_sets_the_default_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unless it is empty. `--to` takes precedence."""
    _run_one(Path("mine"), "http://127.0.0.1:9001", os.getpid())
    monkeypatch.setenv("HEADRACE_DATA_DIR", "mine")
    assert base_url(None, None) == "http://127.0.0.1:9001"
    assert base_url("http://127.0.0.1:9003", None) == "http://127.0.0.1:9003"

    monkeypatch.setenv("HEADRACE_DATA_DIR", "")
    assert base_url(None, None) == "http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("http://x", "/api/events"),
        ("http://x/", "/api/events"),
        ("https://x/collect/", "/collect/api/events"),
        ("https://x/collect", "/collect/api/events"),
        ("https://x/a%2Fb%20c/", "/a%2Fb%20c/api/events"),
        ("https://x//a//", "//a//api/events"),
        ("https://x/../a/./", "/../a/./api/events"),
        ("https://x/c?key=a%2Bb+c;d", "/c/api/events?key=a%2Bb+c;d"),
        ("https://x?", "/api/events?"),
        ("https://x/api/events", "/api/events"),
        ("https://x/api/event?k=1", "/api/events?k=1"),
        ("https://x/p/api/events/", "/p/api/events"),
        ("https://x/%E4%zz'(){}", "/%E4%zz'(){}/api/events"),
    ],
)
def test_an_address_is_not_normalized(to: str, target: str) -> None:
    """Only the path of the API is appended."""
    assert endpoint(to).url.raw_path_qs == target


def test_a_password_in_an_address_is_not_shown() -> None:
    """It is only sent to the server."""
    found = endpoint("https://me:hunter%322@x:8443/a?token=hunter2")

    assert (found.url.user, found.url.password) == ("me", "hunter22")
    assert found.shown == "https://x:8443/a"


@pytest.mark.parametrize(
    "to",
    [
        *("", "x", "ftp://x", "http://", "http:///a", "http://x#a", "http://x:0", "http://x:abc"),
        *("http://x:99999", "http://x/ä", "http://x/a b", "http://[::1", "http://x:", "//x"),
        *("http://me:hunter2@x:abc", "http://me:hunter2@", "http://x\n"),
    ],
)
def test_an_invalid_address_is_rejected(to: str) -> None:
    """The message contains no password."""
    with pytest.raises(BadParameter) as caught:
        base_url(to, None)

    assert "hunter2" not in str(caught.value)


def test_without_a_running_server_the_settings_apply() -> None:
    """As when the role `api` was started alone."""
    assert base_url(None, None) == "http://127.0.0.1:8081"


@pytest.mark.parametrize("has_run", [False, True])
def test_a_given_directory_must_have_a_running_server(has_run: bool) -> None:
    """Its events must not go to another server. One that was killed left its address there."""
    if has_run:
        _run_one(Path("mine"), "http://127.0.0.1:9001", 2**22 + 1)  # no process has this id

    with pytest.raises(
        UserError, match=r"headrace is not running in .*mine.*headrace up --data-dir mine"
    ):
        base_url(None, Path("mine"))


def test_to_and_data_dir_are_mutually_exclusive() -> None:
    """The message names both options."""
    with pytest.raises(UsageError, match="--to and --data-dir"):
        base_url("http://127.0.0.1:8080", Path("mine"))
