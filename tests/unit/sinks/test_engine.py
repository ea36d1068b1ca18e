"""Connection arguments and SQLite files."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from schemas.postgres_url import parse_postgres_url
from sinks.sql.postgres import connect_arguments
from sinks.sql.sqlite import create_file, sqlite_engine


@pytest.mark.parametrize(
    ("url", "passed"),
    [
        ("//me:w%40rd@db:5433/x", {"user": "me", "password": "w@rd", "database": "x", "dsn": None}),
        ("//a:1,b:2/x", {"host": ["a", "b"], "port": [1, 2]}),
        ("/x?host=/run/pg", {"host": ["/run/pg"], "port": [5432]}),
        ("//a/x?sslmode=require", {"dsn": "postgresql://?sslmode=require"}),
        ("//a/x?ssl=true", {"dsn": "postgresql://?sslmode=require"}),
        (
            "//a/x?sslmode=verify-ca&sslrootcert=/a%20b+c/%26.crt",
            {"dsn": "postgresql://?sslrootcert=%2Fa%20b%2Bc%2F%26.crt&sslmode=verify-ca"},
        ),
        ("//a/x?connect_timeout=10", {"timeout": 10}),
        ("//a/x?connect_timeout=0", {"timeout": None}),
        ("//a/x", {"timeout": 5, "server_settings": {"application_name": "headrace"}}),
        (
            "//a/x?fallback_application_name=b&options=-c%20a%3Db",
            {"server_settings": {"application_name": "b", "options": "-c a=b"}},
        ),
        (
            "//a/x?schema=my%22own&application_name=c+d",
            {"server_settings": {"application_name": "c+d", "search_path": '"my""own"'}},
        ),
        ("//a/x?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
    ],
)
def test_a_url_is_translated_to_driver_arguments(url: str, passed: dict[str, Any]) -> None:
    """Nothing is percent-decoded twice."""
    found = connect_arguments(
        parse_postgres_url(f"postgresql:{url}" if url[:2] == "//" else f"postgresql://{url}"), None
    )

    assert {name: found[name] for name in passed} == passed


def test_errors_contain_no_parameters(tmp_path: Path) -> None:
    """They are logged, and parameters are clients' data."""
    create_file(tmp_path / "x.db")
    engine = sqlite_engine(f"sqlite:///{tmp_path}/x.db", "BEGIN", [])
    with engine.begin() as connection, pytest.raises(StatementError) as failed:
        connection.execute(text("SELECT :value FROM nowhere"), {"value": "s3cret"})

    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    "name",
    ["a b", "a%20b", "a#b", "a?mode=ro&x", "ä", "a:b", "a'b", "a+b", "a%", "file:x", ":memory:"],
)
def test_a_sqlite_file_is_created_at_its_path(tmp_path: Path, name: str) -> None:
    """Only its owner can read it."""
    file = tmp_path / name / f"{name.replace('?', '')}.db"
    create_file(file)
    engine = sqlite_engine(f"sqlite:///{file}", "BEGIN", [])
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER) STRICT"))
    engine.dispose()

    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.db")] == [
        file.relative_to(tmp_path)
    ]
    assert file.stat().st_size
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
