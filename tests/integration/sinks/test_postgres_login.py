"""Servers that reject the login or do not respond."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

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


@pytest.mark.parametrize(
    "command",
    [
        ("db", "upgrade"),
        ("db", "check"),
        ("tokens", "list"),
        ("audit",),
        ("status",),
        ("up", "--database", "{url}", "--data-dir", "data"),
    ],
)
@pytest.mark.parametrize("wrong", ["password", "database"])
def test_a_rejected_login_is_reported(
    tmp_path: Path, postgres_server: str, command: tuple[str, ...], wrong: str
) -> None:
    """With exit code 1; nothing is started."""
    # Even a server that trusts all users rejects an unknown one.
    made = make_url(postgres_server).set(username="no_such_user", password=_SECRET)
    if wrong == "database":
        made = make_url(postgres_server).set(database="no_such_database")
    url = made.render_as_string(hide_password=False)
    ended = subprocess.run(
        [_HEADRACE, *(part.format(url=url) for part in command)],
        env={**os.environ, "HEADRACE_DATABASE__URL": url, "NO_COLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "Traceback" not in said
    assert f"no_such_{'user' if wrong == 'password' else 'database'}" in said
    assert _SECRET not in said
    assert f":{make_url(postgres_server).password}@" not in said
    assert "✓" not in said
