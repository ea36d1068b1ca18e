"""The owner token, and `headrace tokens`."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from typer.testing import CliRunner

from headrace.admin.database import run_once
from headrace.cli.main import app
from headrace.local.options import is_loopback
from headrace.roles.owner_token import ensure_owner_token
from query_api import tokens
from schemas.settings import DatabaseSettings
from tests.fixtures.migrated import create_migrated


@pytest.fixture
def database(tmp_path: Path) -> DatabaseSettings:
    """Return a migrated database in a data directory."""
    database = DatabaseSettings(url=f"sqlite:///{tmp_path}/headrace.db")
    create_migrated(database.url)
    return database


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_addresses_are_recognized(host: str) -> None:
    """There the owner token may be printed."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "headrace.example", ""])  # noqa: S104
def test_other_addresses_are_not_loopback(host: str) -> None:
    """Host names may resolve to any address."""
    assert not is_loopback(host)


def test_the_owner_token_is_kept_until_it_is_revoked(
    tmp_path: Path, database: DatabaseSettings
) -> None:
    """In a file that only its owner can read; it may manage all sites."""
    file = tmp_path / "owner.token"
    token = ensure_owner_token(file, database)

    assert ensure_owner_token(file, database) == token
    assert file.stat().st_mode & 0o777 == 0o600
    grant = asyncio.run(run_once(database, lambda c: tokens.check(c, token)))
    assert grant is not None
    assert (grant.sites, grant.scope) == (None, "manage")

    def revoke_all(connection: Connection) -> None:
        connection.execute(text("UPDATE tokens SET revoked_at = created_at"))

    asyncio.run(run_once(database, revoke_all))
    assert ensure_owner_token(file, database) != token


def test_tokens_are_created_listed_and_revoked(tmp_path: Path, database: DatabaseSettings) -> None:
    """The token is printed once, on the last line."""
    run, at = CliRunner(), ["--data-dir", str(tmp_path)]
    made = run.invoke(app, ["tokens", "create", "--site", "shop", "--name", "till", *at])
    token = made.stdout.splitlines()[-1]
    (found,) = asyncio.run(run_once(database, tokens.list_tokens))
    listed = run.invoke(app, ["tokens", "list", *at])
    revoked = run.invoke(app, ["tokens", "revoke", found.token_id, *at])

    assert (made.exit_code, listed.exit_code, revoked.exit_code) == (0, 0, 0)
    assert token.startswith("hr_")
    assert found.grant.sites == frozenset({"shop"})
    assert found.grant.scope == "read"
    assert found.token_id in listed.stdout
    assert token not in listed.stdout
    assert asyncio.run(run_once(database, lambda c: tokens.check(c, token))) is None


@pytest.mark.parametrize("wrong", [[], ["--all", "--site", "a"], ["--site", "a b"]])
def test_a_token_needs_sites_or_all(wrong: list[str], tmp_path: Path) -> None:
    """Anything else is a usage error."""
    result = CliRunner().invoke(app, ["tokens", "create", *wrong, "--data-dir", str(tmp_path)])

    assert result.exit_code == 2


def test_an_owner_token_with_scope_read_is_replaced(
    tmp_path: Path, database: DatabaseSettings
) -> None:
    """The dashboard of `headrace up` manages subscriptions."""
    file = tmp_path / "owner.token"
    reading = asyncio.run(run_once(database, lambda c: tokens.create(c, "", None)))
    file.write_text(reading)

    assert ensure_owner_token(file, database) != reading


def test_the_scope_of_a_token_is_listed(tmp_path: Path, database: DatabaseSettings) -> None:
    """`--manage` sets it."""
    run, at = CliRunner(), ["--data-dir", str(tmp_path)]
    made = run.invoke(app, ["tokens", "create", "--all", "--manage", *at])
    listed = run.invoke(app, ["tokens", "list", *at])

    assert made.stdout.startswith("Reads and manages all sites")
    grant = asyncio.run(run_once(database, lambda c: tokens.check(c, made.stdout.splitlines()[-1])))
    assert grant is not None
    assert grant.scope == "manage"
    assert "manage" in listed.stdout
