"""Back up the database and the configuration that is only in Kafka, while headrace runs (ADR 77).

The topics are read after the database: an erasure is recorded before its first row is deleted, so
the backup records each erasure that its database has in part.
"""

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from headrace.admin.topic_records import count_partitions, latest_records
from headrace.errors import UserError
from headrace.ops.backup import postgres, sqlite
from headrace.ops.backup.archive import FORMAT, Manifest, Topics, new_folder, write_archive
from schemas.records import BlockedId
from schemas.settings import Settings
from schemas.topics import BLOCKED_IDS, ERASURES, EVENTS_RAW


class BackupResult(NamedTuple):
    """What was written, its size in bytes, and the number of secrets that need the key file."""

    manifest: Manifest
    size: int
    encrypted: int


async def back_up(settings: Settings, file: Path, on_step: Callable[[str], None]) -> BackupResult:
    """Write a backup to `file`, which is replaced when the new one is complete.

    Raises `UserError` if Kafka or the database cannot be read, OSError if the file cannot be
    written.
    """
    database = settings.database
    _check_target(file)
    partitions = await count_partitions(settings.kafka, EVENTS_RAW)  # before the long copy
    created_at = time.time_ns() // 1_000
    with new_folder(file.with_name(f".{file.name}.unfinished")) as folder:
        copy = folder / "database"
        on_step("copying the database")
        dump = postgres.dump if database.is_postgres else sqlite.dump
        contents = await dump(database, copy)
        on_step("reading blocked ids and erasures")
        blocked = await latest_records(settings.kafka, BLOCKED_IDS, BlockedId)
        erasures = await latest_records(settings.kafka, ERASURES, BlockedId)
        topics = Topics(blocked_ids=[*blocked.values()], erasures=[*erasures.values()])
        manifest = Manifest(
            format=FORMAT,
            headrace=version("headrace"),
            created_at=created_at,
            engine="postgresql" if database.is_postgres else "sqlite",
            revision=contents.revision,
            schema=contents.schema,
            partitions=partitions,
            rows=contents.rows,
        )
        on_step("compressing")
        size = write_archive(folder / "archive", manifest, copy, topics)
        (folder / "archive").replace(file)
    return BackupResult(manifest, size, contents.encrypted)


def _check_target(file: Path) -> None:
    """Raise UserError if a file cannot be created, before the long copy."""
    if file.is_dir():
        raise UserError(f"{file} is a directory: name a file, such as {file / 'headrace.tar.gz'}")
    if not file.parent.is_dir():
        raise UserError(f"{file} cannot be written: {file.parent} is not a directory")
