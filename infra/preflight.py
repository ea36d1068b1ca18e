"""Checks of the broker and the database that `headrace up` uses, before it starts anything."""

import asyncio
import os

from sqlalchemy import Connection, text

from infra.broker.probe import fault_of
from infra.database import run_once
from infra.errors import UserError
from infra.topics import check_reached
from schemas.brokers import parse_brokers
from schemas.kafka_settings import KafkaSettings
from schemas.settings import DatabaseSettings
from sinks.sql.sqlite import sqlite_path

_BROKER_SECONDS = 5.0
_SQLITE = b"SQLite format 3\0"


def check_broker(kafka: KafkaSettings) -> None:
    """Raise `UserError` when no broker answers as Kafka does, or they refuse the login."""
    if kafka.security_protocol != "PLAINTEXT":
        asyncio.run(check_reached(kafka))
        return
    faults = []
    for host, port in parse_brokers(kafka.bootstrap_servers):
        fault = fault_of(host, port, _BROKER_SECONDS)
        if fault is None:
            return
        faults.append(f"{host} port {port}: {fault}")
    raise UserError(
        f"No Kafka answers at {kafka.bootstrap_servers} ({'; '.join(faults)}). Check --kafka or "
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS, or leave both out to have a broker started"
    )


def check_database(database: DatabaseSettings) -> None:
    """Raise `UserError` when the database cannot be reached or written."""
    if not database.is_postgres:
        _check_file(database)
        return
    is_standby, schema = asyncio.run(run_once(database, _state))
    if schema is None:
        raise UserError(
            f"The database {database.redacted} has no schema to create tables in: create the one "
            "that schema or options in its URL names"
        )
    if is_standby:
        raise UserError(
            f"The database {database.redacted} takes no writes: it is a standby, or read-only. "
            "Name the primary, or add target_session_attrs=read-write"
        )


def _state(connection: Connection) -> tuple[bool, str | None]:
    """Return whether a server takes no writes, and the schema of new tables."""
    is_read_only = connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on"
    return is_read_only, connection.execute(text("SELECT current_schema()")).scalar_one()


def _check_file(database: DatabaseSettings) -> None:
    path = sqlite_path(database.url)
    try:
        if path.exists():
            with path.open("r+b") as file:
                if (head := file.read(len(_SQLITE))) and head != _SQLITE:
                    raise UserError(f"The database {path} is a file of something else than SQLite")
            place = path.parent
        else:
            place = next(folder for folder in path.parents if folder.exists())
        if not place.is_dir():
            raise UserError(f"The database {path} cannot be created: {place} is no directory")
        if not os.access(place, os.W_OK | os.X_OK):
            raise UserError(f"The database {path} cannot be written: {place} is not writable")
    except OSError as error:
        raise UserError(f"The database {path} cannot be used: {error.strerror}") from error
