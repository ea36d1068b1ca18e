"""Dumps of a PostgreSQL database, by `pg_dump`, `pg_restore` and `psql` of its version."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select

from headrace.errors import UserError
from headrace.ops.audit.snapshot import Snapshot, read_snapshot
from headrace.ops.backup.contents import Contents, read_contents
from schemas.postgres_url import PostgresUrl, parse_postgres_url
from schemas.settings import DatabaseSettings
from sinks.sql.tables import METADATA, VIEWS

#: The environment variables of libpq by URL parameter.
_VARIABLES = {
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "passfile": "PGPASSFILE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "options": "PGOPTIONS",
}


async def dump(database: DatabaseSettings, copy: Path) -> Contents:
    """Write a dump of headrace's tables to a new file, from one snapshot."""

    def in_snapshot(snapshot: Snapshot) -> Contents:
        contents = read_contents(snapshot.connection)
        name = snapshot.connection.execute(select(func.pg_export_snapshot())).scalar_one()
        schema = contents.schema.replace('"', '""')
        tables = [f'--table="{schema}"."{name}"' for name in _names()]
        options = ["--format=custom", "--compress=0", "--no-owner", "--no-privileges"]
        _run(database, "pg_dump", [*options, *tables, f"--snapshot={name}", f"--file={copy}"])
        return contents

    return await read_snapshot(database, in_snapshot, lambda _: None)


async def replace(database: DatabaseSettings, copy: Path, statements: Sequence[str]) -> None:
    """Replace headrace's tables with those of a dump, and run statements, in one transaction."""
    script = copy.with_suffix(".sql")
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges"]
    await asyncio.to_thread(_run, database, "pg_restore", [*options, f"--file={script}", str(copy)])
    with script.open("a") as file:
        file.writelines(f"{statement};\n" for statement in statements)
    psql = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    await asyncio.to_thread(
        _run, database, "psql", [*psql, "--output=/dev/null", f"--file={script}"]
    )


def _names() -> list[str]:
    return [*METADATA.tables, *VIEWS, "alembic_version"]


def _run(database: DatabaseSettings, program: str, arguments: Sequence[str]) -> None:
    """Run a program of PostgreSQL on a database. Raises UserError if it fails."""
    path = shutil.which(program)
    if path is None:
        raise UserError(
            f"{program} is not installed, which comes with PostgreSQL: install the client programs "
            "of the server's version (Debian: postgresql-client), or make a backup by other means "
            "(docs/guides/operate.md#back-up)"
        )
    done = subprocess.run(  # noqa: S603 - no shell
        [path, *arguments],
        env=os.environ | _environment(parse_postgres_url(database.url)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(
            f"{program} failed on {database.redacted}: {done.stderr.strip()}. Its version must be "
            "that of the server or later, and the URL must lead to the server, not to a pooler"
        )


def _environment(url: PostgresUrl) -> dict[str, str]:
    """Return the environment variables of libpq for a URL; arguments would be public."""
    values = {
        "PGHOST": ",".join(url.hosts),
        "PGPORT": ",".join(map(str, url.ports)),
        "PGUSER": url.user,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "PGSSLMODE": url.ssl_mode,
        "PGAPPNAME": "headrace",
        **{name: url.parameters.get(parameter) for parameter, name in _VARIABLES.items()},
    }
    return {name: value for name, value in values.items() if value}
