"""Checks of the broker and the database before `headrace up` starts any process.

The Kafka and PostgreSQL clients are imported only if needed, which saves half a second.
"""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import UserError
from headrace.local.broker.probe import find_problem
from schemas.brokers import parse_brokers
from schemas.kafka_settings import KafkaSettings
from schemas.settings import DatabaseSettings
from schemas.sqlite_url import parse_sqlite_url

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BROKER_SECONDS = 5.0
_SQLITE = b"SQLite format 3\0"


def check_broker(kafka: KafkaSettings) -> None:
    """Raise UserError if no broker can be reached, or the authentication fails."""
    if kafka.security_protocol != "PLAINTEXT":
        from headrace.admin.topics import check_reachable  # noqa: PLC0415 - slow

        asyncio.run(check_reachable(kafka))
        return
    problems = []
    for host, port in parse_brokers(kafka.bootstrap_servers):
        problem = find_problem(host, port, _BROKER_SECONDS)
        if problem is None:
            return
        problems.append(f"{host} port {port}: {problem}")
    raise UserError(
        f"No Kafka broker responds at {kafka.bootstrap_servers} ({'; '.join(problems)}). Check "
        "--kafka or HEADRACE_KAFKA__BOOTSTRAP_SERVERS, or remove both to start a local broker"
    )


def check_database(database: DatabaseSettings) -> None:
    """Raise UserError if the database cannot be reached or written."""
    if not database.is_postgres:
        _check_sqlite(database)
        return
    from headrace.admin.database import run_once  # noqa: PLC0415 - slow

    is_standby, schema = asyncio.run(run_once(database, _server_state))
    if schema is None:
        raise UserError(
            f"The database {database.redacted} has no schema to create tables in: create the "
            "schema in its URL (parameter schema or options)"
        )
    if is_standby:
        raise UserError(
            f"The database {database.redacted} is read-only, for example a standby. "
            "Use the address of the primary, or add target_session_attrs=read-write"
        )


def _server_state(connection: "Connection") -> tuple[bool, str | None]:
    """Return whether the server is read-only, and the schema in which tables are created."""
    from sqlalchemy import text  # noqa: PLC0415 - slow

    is_read_only = connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on"
    return is_read_only, connection.execute(text("SELECT current_schema()")).scalar_one()


def _check_sqlite(database: DatabaseSettings) -> None:
    path = Path(parse_sqlite_url(database.url)).absolute()
    try:
        if path.exists():
            with path.open("r+b") as file:
                if (head := file.read(len(_SQLITE))) and head != _SQLITE:
                    raise UserError(f"The database {path} is not a SQLite database")
            directory = path.parent
        else:
            directory = next(parent for parent in path.parents if parent.exists())
        if not directory.is_dir():
            raise UserError(
                f"The database {path} cannot be created: {directory} is not a directory"
            )
        if not os.access(directory, os.W_OK | os.X_OK):
            raise UserError(f"The database {path} cannot be written: {directory} is not writable")
    except OSError as error:
        raise UserError(f"The database {path} cannot be used: {error.strerror}") from error
