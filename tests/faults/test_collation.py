"""A PostgreSQL database that sorts texts as people do: no list and no audit depends on it."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.e2e.stack import Stack
from tests.faults.ledger import Outcome
from tests.faults.scenario import MakeScenario
from tests.faults.traffic import Sent
from tests.fixtures import locales
from tests.fixtures.postgres import LocalPostgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: By code points `B` is before `a`, and `-` before all letters; in the locale neither is.
_SITES = ("a", "B", "A", "b", "a-b", "aB", "ab", "a.b", "a_b", "_a", "-a", "Z", "z", "10", "9")
_SESSIONS = ("x", "X", "x-1", "x1", "ä", "Ä", "z", "é", "ss", "ß", "a b", "a:b", "ab")


@pytest.fixture
def english_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the URL of an empty database with an English collation."""
    with locales.compiled() as folder:
        monkeypatch.setenv("LOCPATH", folder)
        with LocalPostgres() as server:
            create = f"CREATE DATABASE english TEMPLATE template0 LOCALE '{locales.NAME}'"
            _query(server.url, create)
            url = make_url(server.url).set(database="english")
            yield url.render_as_string(hide_password=False)


def test_a_postgresql_database_with_its_own_collation(
    english_database: str, make_scenario: MakeScenario
) -> None:
    """Every site is listed once, by code points, and the audit finds no difference."""
    assert _query(english_database, "SELECT 'a' < 'B'") is True, "the database has the collation"
    scenario = make_scenario({"HEADRACE_DATABASE__URL": english_database})
    stack = scenario.stack
    with scenario.load() as load:
        for site in _SITES:
            bodies = [
                _event(site, session, kind)
                for session in _SESSIONS
                for kind in ("pageview", "pageleave")
            ]
            assert stack.post(bodies, "/api/events")[0] == 202
            for body in bodies:
                load.ledger.record(
                    Sent(body["event_id"], body, is_valid=True), Outcome.ACKNOWLEDGED
                )
    scenario.check()

    assert _headrace(stack, "audit").returncode == 0
    token = _headrace(stack, "tokens", "create", "--all").stdout.split()[-1]
    stored = {row["site_id"] for row in stack.rows("SELECT DISTINCT site_id FROM sessions")}
    listed = [site["site_id"] for site in _all(stack, token, "/api/sites")]
    assert listed == sorted(stored)
    assert stored.issuperset(_SITES)
    for site in _SITES:
        visits = _all(stack, token, f"/api/sites/{site}/sessions")
        assert sorted(visit["session_id"] for visit in visits) == sorted(_SESSIONS)
        pages = [page["path"] for page in _all(stack, token, f"/api/sites/{site}/pages")]
        assert len(pages) == len(set(pages)) == len(_SESSIONS)


def _event(site: str, session: str, kind: str) -> dict[str, Any]:
    return {
        "site_id": site,
        "session_id": session,
        "event_id": str(uuid4()),
        "type": kind,
        "path": f"/{session}",
        "duration": 1_000,
    }


def _all(stack: Stack, token: str, path: str) -> list[dict[str, Any]]:
    """Return all items of a list, with pages of four."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = urlencode({"limit": 4, **({"cursor": cursor} if cursor else {})})
        request = urllib.request.Request(f"{stack.url}{path}?{query}")  # noqa: S310 - ours
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310
            page = json.load(response)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def _headrace(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "headrace", *command, "--data-dir", str(stack.data_dir)]
    environment = {**os.environ, **stack.settings}
    return subprocess.run(argv, env=environment, check=False, capture_output=True, text=True)


def _query(url: str, statement: str) -> Any:
    """Run a statement outside of a transaction; return its first value, if any."""

    async def run() -> Any:
        engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
        )
        async with engine.connect() as connection:
            result = await connection.execute(text(statement))
            value = result.scalar() if result.returns_rows else None
        await engine.dispose()
        return value

    return asyncio.run(run())
