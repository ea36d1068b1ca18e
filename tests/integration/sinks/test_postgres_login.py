"""Servers that reject the login or do not respond."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.errors import UserError
from sinks.sql.migrate import check, upgrade

_HEADRACE = str(Path(sys.executable).with_name("headrace"))
_SECRET = "hunter2secret"  # noqa: S105 - of nobody


def test_each_host_has_the_full_connect_timeout(postgres_url: str) -> None:
    """As in libpq."""
    url = make_url(postgres_url)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1,{url.host}&port={silent.getsockname()[1]},{url.port}"
        upgrade(
            f"postgresql:///{url.database}?host={hosts}&user={url.username}"
            f"&password={url.password}&connect_timeout=1&target_session_attrs=primary"
        )

    assert check(postgres_url) == []


@pytest.fixture(params=["password", "database"])
def wrong_url(request: pytest.FixtureRequest, postgres_server: str) -> str:
    """Return a URL that the server rejects; the rejected name begins with `no_such_`."""
    # Even a server that trusts all users rejects an unknown one.
    made = make_url(postgres_server).set(username="no_such_user", password=_SECRET)
    if request.param == "database":
        made = make_url(postgres_server).set(database="no_such_database")
    return made.render_as_string(hide_password=False)


@pytest.mark.parametrize(
    "command", [("db", "upgrade"), ("db", "check"), ("tokens", "list"), ("audit",), ("status",)]
)
def test_a_rejected_login_is_reported(
    tmp_path: Path, wrong_url: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an error that `main` prints without a traceback, or by the status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_DATABASE__URL", wrong_url)

    ended = CliRunner().invoke(app, command)

    assert isinstance(ended.exception, UserError | SystemExit)
    assert ended.exit_code == 1
    _check(f"{ended.output}{ended.exception}", wrong_url)


def test_up_reports_a_rejected_login(tmp_path: Path, wrong_url: str) -> None:
    """Nothing is started."""
    ended = subprocess.run(
        [_HEADRACE, "up", "--database", wrong_url, "--data-dir", "data"],
        env={**os.environ, "NO_COLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "Traceback" not in said
    assert "✓" not in said
    _check(said, wrong_url)


def _check(said: str, url: str) -> None:
    """Check that the rejected name is reported, and no password."""
    made = make_url(url)
    assert any(name in said for name in ("no_such_user", "no_such_database") if name in url), said
    assert _SECRET not in said
    assert f":{made.password}@" not in said
