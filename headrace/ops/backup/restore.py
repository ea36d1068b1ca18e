"""Restore a backup: replace the database, then rebuild the derived topics from it (ADR 77).

Until the end the database names no cluster that exists, so the sinks reject it. A restore that was
interrupted can be repeated, or completed by `headrace adopt-cluster`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, select, text, update

from headrace.admin.database import run_once, upgrade_database
from headrace.admin.topics import create_topics, describe_topics
from headrace.errors import UserError
from headrace.ops.adopt.run import AdoptionResult, adopt, check_stopped
from headrace.ops.backup import postgres, sqlite
from headrace.ops.backup.archive import Manifest, extract, new_folder
from headrace.ops.backup.configuration import publish_topics, reconcile
from headrace.ops.rebuild.cluster import open_cluster
from schemas.plurals import counted
from schemas.settings import DatabaseSettings, Settings
from schemas.topics import EVENTS_RAW
from sinks.delivery.secret_box import SecretBox, count_locked
from sinks.sql.migrate import is_known
from sinks.sql.sqlite import sqlite_path
from sinks.sql.tables import EventRow, TokenRow, table_of
from sinks.sql.types import now_utc

_EVENTS, _TOKENS = table_of(EventRow), table_of(TokenRow)
#: The changes to a restored database, in the schema `{0}`. They assign it to a cluster that does
#: not exist, so the sinks reject it. Alerts get higher numbers than those since the backup, which
#: clients may have seen: they resume streams after the last one.
_CHANGES = (
    "UPDATE {0}consumer_offsets SET cluster_id = '(restored from a backup)'",
    "UPDATE {0}alert_sequence SET last_seq = last_seq + 1000000",
)
_FAILED = "The restore is not complete; run this again"


@dataclass(slots=True)
class RestoreResult:
    """What was restored; `locked` is the number of secrets that no key decrypts."""

    adoption: AdoptionResult
    locked: int


def check(settings: Settings, manifest: Manifest) -> None:
    """Raise `UserError` if a backup cannot be restored with these settings."""
    is_postgres = manifest.engine == "postgresql"
    if is_postgres != settings.database.is_postgres:
        raise UserError(
            f"The backup is of a {manifest.engine} database, but {settings.database.redacted} is "
            "configured: set HEADRACE_DATABASE__URL to a database of the same kind"
        )
    if not is_known(manifest.revision):
        raise UserError(
            f"The backup was made by headrace {manifest.headrace} and has the schema "
            f"{manifest.revision}, which this version does not know: install that version, or a "
            "later one"
        )


def check_partitions(manifest: Manifest, existing: int | None) -> None:
    """Raise `UserError` if the topics exist with another number of partitions than in a backup."""
    if existing in (None, manifest.partitions):
        return
    more = f", then run `headrace repartition --partitions {existing}`"
    raise UserError(
        f"The backup is of topics with {counted(manifest.partitions, 'partition')}, but those of "
        f"this Kafka cluster have {existing}. Restore it with an empty cluster, or in another "
        f"--data-dir{more if manifest.partitions < (existing or 0) else ''}; events that only this "
        "cluster has are not in it"
    )


async def has_events(database: DatabaseSettings) -> bool:
    """Return True if a database can be read and has events."""
    try:
        return (
            await run_once(database, lambda c: c.execute(select(_EVENTS).limit(1)).first())
            is not None
        )
    except UserError:
        return False


async def restore(
    settings: Settings,
    file: Path,
    manifest: Manifest,
    on_step: Callable[[str], None],
    on_rows: Callable[[int], None],
) -> RestoreResult:
    """Replace the database with that of a backup, and adopt the cluster. Idempotent.

    Raises `UserError` if workers are running, or Kafka, the database or the backup fails.
    """
    kafka = settings.kafka.model_copy(update={"partitions": manifest.partitions})
    settings = settings.model_copy(update={"kafka": kafka})
    topics = await describe_topics(kafka)
    check_partitions(
        manifest, next(state.partitions for state in topics if state.topic is EVENTS_RAW)
    )
    await create_topics(kafka)
    async with open_cluster(settings, _FAILED) as cluster:
        await check_stopped(cluster)
    database = settings.database
    # On the file system of the database, because its replacement must be atomic.
    parent = file.parent if database.is_postgres else sqlite_path(database.url).parent
    with new_folder(parent / ".headrace-restore") as folder:
        copy = folder / "database"
        on_step("extracting the backup")
        extracted = extract(file, manifest, copy)
        revoked = await _revoked_tokens(database)
        if database.is_postgres:
            await publish_topics(settings, extracted)
            on_step("replacing the tables")
            await _replace_tables(database, copy, manifest, revoked)
        else:
            sqlite.check_integrity(copy)
            upgrade_database(sqlite.settings_of(copy))
            await run_once(sqlite.settings_of(copy), partial(_prepare, revoked=revoked))
            await publish_topics(settings, extracted)
            on_step("replacing the database")
            sqlite.replace(database, copy)
    on_step("restoring sites and subscriptions")
    await reconcile(settings, manifest)
    box = SecretBox(settings.secrets.keys())
    locked = await run_once(settings.database, partial(count_locked, box=box))
    return RestoreResult(
        await adopt(settings, force=True, on_step=on_step, on_rows=on_rows), locked
    )


async def _replace_tables(
    database: DatabaseSettings, copy: Path, manifest: Manifest, revoked: Sequence[str]
) -> None:
    schema = await run_once(database, _current_schema)
    if schema != manifest.schema:
        raise UserError(
            f"The backup is of the schema {manifest.schema}, but {database.redacted} uses the "
            f"schema {schema}: set the parameter schema in its URL"
        )
    prefix = '"' + schema.replace('"', '""') + '".'
    statements = [change.format(prefix) for change in _CHANGES]
    statements += [
        f"UPDATE {prefix}tokens SET revoked_at = now() "  # noqa: S608 - a UUID
        f"WHERE token_id = '{token_id}' AND revoked_at IS NULL"
        for token_id in revoked
    ]
    await postgres.replace(database, copy, statements)
    upgrade_database(database)


async def _revoked_tokens(database: DatabaseSettings) -> list[str]:
    """Return the revoked tokens of the database to replace; none if it cannot be read."""
    try:
        return await run_once(database, _select_revoked)
    except UserError:
        return []


def _select_revoked(connection: Connection) -> list[str]:
    query = select(_TOKENS.c.token_id).where(_TOKENS.c.revoked_at.is_not(None))
    return [str(token_id) for token_id in connection.execute(query).scalars()]


def _prepare(connection: Connection, revoked: Sequence[str]) -> None:
    """Change a restored database before it replaces the other one."""
    for change in _CHANGES:
        connection.execute(text(change.format("")))
    for token_id in revoked:
        of_token = _TOKENS.c.token_id == token_id
        query = update(_TOKENS).where(of_token, _TOKENS.c.revoked_at.is_(None))
        connection.execute(query.values(revoked_at=now_utc()))


def _current_schema(connection: Connection) -> str:
    return str(connection.execute(text("SELECT current_schema()")).scalar_one())
