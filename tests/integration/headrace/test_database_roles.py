"""The database roles of infra/postgres: each role and command works with its own, and no more."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from sinks.sql.tables import METADATA
from tests.fixtures.waiting import eventually
from tests.integration.headrace.roles import READY, Roles, own_kafka, roles_of

_SQL = Path(__file__).parents[3] / "infra" / "postgres"
_RESULTS = {"events", "sessions", "page_durations", "page_durations_hourly", "alerts"}
_COMMANDS = (
    ["db", "check"],
    ["sites", "list"],
    ["sites", "update", "shop", "--count-bots"],
    ["keys", "create", "--site", "shop"],
    ["keys", "list", "--site", "shop"],
    ["tokens", "list"],
    ["status"],
    ["audit"],
    ["erase", "--site", "shop", "--visitor", "v1", "--yes"],
)


def _url(database: str, role: str) -> str:
    return make_url(database).set(username=f"headrace_{role}").render_as_string(hide_password=False)


async def _execute(url: str, *statements: str) -> list[list[Any]]:
    """Run scripts or queries; return the rows of the last one."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    rows: list[list[Any]] = []
    try:
        async with engine.begin() as connection:
            for statement in statements:
                if ";" in statement:  # the driver's simple protocol takes several statements
                    raw = (await connection.get_raw_connection()).driver_connection
                    assert raw is not None
                    await raw.execute(statement)
                else:
                    result = await connection.execute(text(statement))
                    rows = [list(row) for row in result]
    finally:
        await engine.dispose()
    return rows


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Yield the URL of a database with the roles, migrated by the owner."""
    names = ("owner", "sinks", "query", "admin", "report")
    passwords = "".join(f"ALTER ROLE headrace_{name} PASSWORD 'postgres';" for name in names)
    await _execute(postgres_url, (_SQL / "roles.sql").read_text(), passwords)
    with roles_of({}, _url(postgres_url, "owner"), tmp_path) as roles:
        done = await asyncio.to_thread(roles.run, "db", "upgrade")
    assert done.returncode == 0, done.stderr
    await _execute(_url(postgres_url, "owner"), (_SQL / "grants.sql").read_text())
    yield postgres_url
    await _execute(
        postgres_url, "; ".join(f"DROP OWNED BY headrace_{name}" for name in names) + ";"
    )


async def _privileges(database: str) -> dict[str, dict[str, set[str]]]:
    """Return the privileges of each role on each table, without those of single columns."""
    rows = await _execute(
        database,
        "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants "
        "WHERE grantee LIKE 'headrace%' AND table_schema = 'public'",
    )
    found: dict[str, dict[str, set[str]]] = {}
    for role, table, privilege in rows:
        found.setdefault(role, {}).setdefault(table, set()).add(privilege)
    return found


async def test_a_role_has_no_more_privileges_than_it_needs(database: str) -> None:
    """Commands can use every table; results are read-only for query, tokens unknown to sinks."""
    found = await _privileges(database)
    sinks, query = found["headrace_sinks"], found["headrace_query"]

    assert found["headrace_report"] == {name: {"SELECT"} for name in _RESULTS}
    assert {name: query[name] for name in _RESULTS} == found["headrace_report"]
    assert query["tokens"] == {"SELECT"}
    assert set(sinks) == set(METADATA.tables) - {"tokens"}
    assert set(found["headrace_admin"]) == {
        *METADATA.tables,
        "page_durations_hourly",
        "alembic_version",
    }
    for role in ("sinks", "query", "admin", "report"):
        tables = found[f"headrace_{role}"].values()
        assert set[str]().union(*tables) <= {"SELECT", "INSERT", "UPDATE", "DELETE"}
        [[can_create]] = await _execute(
            database, f"SELECT has_schema_privilege('headrace_{role}', 'public', 'CREATE')"
        )
        assert not can_create


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_every_role_and_command_works_with_its_database_role(
    database: str, postgres_path: str, tmp_path: Path
) -> None:
    """From an event to its session, an alert and its delivery; commands; backup and restore."""
    with own_kafka(tmp_path) as kafka, roles_of(kafka.bootstrap, "", tmp_path) as roles:
        as_admin = _variables(database, "admin", postgres_path)
        _start(roles, database)
        token = _ok(roles, as_admin, "tokens", "create", "--all", "--manage").split()[-1]
        _ok(roles, as_admin, "sites", "add", "shop")
        _use_subscriptions(f"http://127.0.0.1:{roles.ports['query']}", token, roles, database)
        _ok(roles, as_admin, "backup", str(tmp_path / "backup.tar.gz"))
        for command in _COMMANDS:
            _ok(roles, as_admin, *command)
        _stop(roles, "streams")
        for table in ("sessions", "durations"):
            _ok(roles, as_admin, "rebuild", table)
        _ok(roles, as_admin, "audit")
        _stop(roles, "query", "sinks", "live", "api")
        _ok(roles, as_admin, "adopt-cluster", "--force")

        as_owner = _variables(database, "owner", postgres_path)
        restored = _ok(roles, as_owner, "restore", str(tmp_path / "backup.tar.gz"), "--yes")
        assert "Erased again: 1 session" in restored
        grants = (_SQL / "grants.sql").read_text()
        asyncio.run(_execute(_url(database, "owner"), grants))
        _start(roles, database)
        _ok(roles, as_admin, "audit")
        visitors = "SELECT DISTINCT visitor_id FROM sessions ORDER BY 1"
        assert asyncio.run(_execute(database, visitors)) == [["v0"], ["v2"], ["v3"]]


def _variables(database: str, role: str, path: str) -> dict[str, str]:
    return {"HEADRACE_DATABASE__URL": _url(database, role), "PATH": path}


def _start(roles: Roles, database: str) -> None:
    """Start each role with its database role; some do not use the database."""
    for name in READY:
        role = name if name in ("sinks", "query") else "report"
        roles.start(name, variables={"HEADRACE_DATABASE__URL": _url(database, role)})
    roles.wait_for(READY)


def _stop(roles: Roles, *names: str) -> None:
    roles.term(*names)
    roles.codes(*names)
    for name in names:
        assert "permission denied" not in roles.log(name), roles.log(name)


def _ok(roles: Roles, variables: Mapping[str, str], *command: str) -> str:
    done = roles.run(*command, variables=variables)
    output = done.stdout + done.stderr
    assert done.returncode == 0, (command, output)
    assert "permission denied" not in output
    return done.stdout


def _use_subscriptions(url: str, token: str, roles: Roles, database: str) -> None:
    """Change sites and subscriptions by HTTP, send events, and wait for a delivery."""
    client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})
    channel = {"type": "webhook", "url": "https://example.invalid/hook"}
    body = {"site_id": "shop", "rule": "payment", "params": {}, "channel": channel}
    subscription = client.post("/api/subscriptions", json=body)
    assert subscription.status_code == 201, subscription.text
    path = f"/api/subscriptions/{subscription.json()['subscription_id']}"
    assert client.patch(path, json={"cooldown_seconds": 1}).is_success
    assert client.post(f"{path}/test").is_success
    assert client.post("/api/sites", json={"site_id": "blog"}).is_success
    assert client.post("/api/sites/blog/keys", json={"name": "k"}).is_success
    events = [
        {"type": kind, "site_id": "shop", "session_id": f"s{n}", "visitor_id": f"v{n}", "path": "/"}
        | ({"duration": 5} if kind == "pageleave" else {})
        for n in range(4)
        for kind in ("pageview", "pageleave", "error", "payment")
    ]
    answer = httpx.post(f"http://127.0.0.1:{roles.ports['api']}/api/events", json=events)
    assert answer.status_code == 202, answer.text
    attempts = "SELECT count(*) FROM delivery_attempts"
    eventually(
        lambda: (
            asyncio.run(_execute(database, attempts))[0][0] > 0
            and len(client.get("/api/sites/shop/sessions").json()["items"]) == 4
            and len(client.get("/api/sites/shop/alerts").json()["items"]) >= 4
        ),
        within_seconds=90,
        what="sessions, pages, alerts and a delivery",
    )
    assert client.get("/api/sites/shop/live").is_success
    assert client.get(f"{path}/deliveries").json()["items"]
    assert client.delete("/api/sites/blog").is_success
    assert client.delete(path).is_success
