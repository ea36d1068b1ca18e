"""The terminal output of `headrace up`."""

import io
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.console import Console

from headrace.errors import RoleFailedError, UserError
from headrace.local.data_dir import DataDir
from headrace.up.start_screen import Screen
from schemas import codec
from schemas.settings import ApiSettings, DatabaseSettings, Settings


def _screen() -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, width=80)), out


@pytest.mark.parametrize("is_compiled", [True, False])
def test_the_title_warns_about_the_slow_codec(
    is_compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is active if there was no C compiler at the installation."""
    monkeypatch.setattr(codec, "IS_COMPILED", is_compiled)
    screen, out = _screen()
    screen.title()

    assert ("The slow codec is active" in out.getvalue()) == (not is_compiled)
    assert ("install a C compiler" in out.getvalue()) == (not is_compiled)


def test_a_step_gets_a_tick_or_a_cross() -> None:
    """The cross names the role that failed. Paths are not interpreted as markup."""
    screen, out = _screen()
    screen.step("sinks", lambda: "into /tmp/[x]/headrace.db")
    live = RoleFailedError("live", "exited during startup (exit code 1)", ": x")
    with pytest.raises(UserError):
        screen.step("web", Mock(side_effect=live))
    with pytest.raises(UserError):
        screen.step("Topics", Mock(side_effect=UserError("No Kafka answers")))
    with pytest.raises(KeyboardInterrupt):
        screen.step("web", Mock(side_effect=KeyboardInterrupt))

    (good, failed, topics) = out.getvalue().splitlines()
    assert good.startswith("  ✓ sinks     into /tmp/[x]/headrace.db")
    assert failed == "  ✗ live      exited during startup (exit code 1)"
    assert topics.startswith("  ✗ Topics")


def test_a_stopped_process_has_no_tick() -> None:
    """It may have failed before."""
    screen, out = _screen()
    screen.stop("web", lambda: "stopped")
    screen.stop("sinks", lambda: "killed after 30 s")

    assert out.getvalue() == "  - web       stopped\n  ! sinks     killed after 30 s\n"


@pytest.mark.parametrize("is_first", [True, False])
def test_the_start_screen_says_which_sites_are_accepted(tmp_path: Path, is_first: bool) -> None:
    """In one line if all are; otherwise with the command that registers one."""
    for sites in ("open", "registered"):
        screen, out = _screen()
        settings = Settings(api=ApiSettings(sites=sites))
        screen.ready(settings, DataDir(tmp_path), 1, None, is_first=is_first)
        shown = out.getvalue()

        assert ("Any site id is accepted" in shown) == (sites == "open")
        assert (f"sites add my-site --data-dir {tmp_path}" in shown) == (sites == "registered")


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("token", "last"),
    [("hr_x", "http://127.0.0.1:8080/?access_token=hr_x"), (None, "http://127.0.0.1:8080/")],
)
def test_the_dashboard_link_is_the_last_line(
    tmp_path: Path, is_first: bool, token: str | None, last: str
) -> None:
    """Only the first start shows commands to run. A file gets no escape codes."""
    screen, out = _screen()
    settings = Settings(api=ApiSettings(sites="open"))
    screen.ready(settings, DataDir(tmp_path), 3.21, token, is_first=is_first)
    shown = out.getvalue()

    assert shown.splitlines()[-1] == last
    assert "headrace is ready after 3.2 s" in shown
    assert ("curl" in shown) is is_first
    assert ("/docs" in shown, str(tmp_path) in shown) == (True, True)
    assert "\x1b" not in shown
    if not is_first and token:
        assert len(shown.splitlines()) <= 5


def test_the_query_of_the_start_screen_works_without_sqlite3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has the library, but not every machine has the program."""
    database = tmp_path / 'it\'s "mine".db'
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE events (type, path, event_ts)")
        connection.execute("INSERT INTO events VALUES ('pageview', '/hello', 'now')")
        connection.commit()
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{database}"))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    screen, out = _screen()
    screen.ready(settings, DataDir(tmp_path), 1, None, is_first=True)

    (query,) = (line for line in out.getvalue().splitlines() if "python3" in line)
    shown = subprocess.run(shlex.split(query), capture_output=True, text=True, check=True)
    assert shown.stdout == "pageview /hello now\n"


class _Full(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def test_write_errors_of_the_screen_are_ignored() -> None:
    """It may be a file on a full disk."""
    screen = Screen(Console(file=_Full()))
    screen.title()
    screen.notify("kafka exited")
    screen.stopping()
