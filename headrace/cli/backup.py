"""`headrace backup` and `headrace restore`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

if TYPE_CHECKING:
    from headrace.ops.backup.archive import Manifest
    from schemas.settings import Settings

_FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup, a .tar.gz file.")]


def backup(file: _FileArgument, data_dir: DataDirOption = DEFAULT) -> None:
    """Copy the database, subscriptions, sites and keys to a file, while everything runs.

    An existing file is replaced when the new one is complete. The key file of secrets is not
    included. Needs pg_dump if the database is PostgreSQL. The local broker is started if needed.
    """
    import asyncio

    from rich.console import Console

    from headrace.ops.backup.backup import back_up
    from headrace.ops.rebuild.kafka import open_kafka

    with open_kafka(data_dir) as settings, Console(stderr=True).status("") as status:
        done = asyncio.run(back_up(settings, file.absolute(), status.update))
    typer.echo(f"✓ {file}: {_describe(done.manifest)}, {done.size:,} bytes.")
    if done.encrypted:
        typer.echo(
            f"  {counted(done.encrypted, 'secret')} of subscriptions can only be used with the key "
            "file, which the backup does not contain. Keep a copy of it in another place:"
        )
        typer.echo(f"  {_key_file(settings, data_dir)}")


def restore(
    file: _FileArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Replace the database with a backup; visitors that were erased since then stay erased.

    Stop all roles first. The local broker is started if needed. Safe to repeat. Needs pg_restore
    and psql if the database is PostgreSQL.
    """
    import asyncio

    from rich.console import Console

    from headrace.local.data_dir import database_settings, save_partitions
    from headrace.ops.audit.listing import ReadingProgress
    from headrace.ops.backup import restore as ops
    from headrace.ops.backup.archive import read_manifest
    from headrace.terminal.confirmation import confirm

    manifest = read_manifest(file)
    database = database_settings(data_dir)
    if not yes and asyncio.run(ops.has_events(database)):
        confirm(
            f"Replace the database {database.redacted} with the backup {_describe(manifest)}? Data "
            "that is newer than the backup, and no longer in Kafka, is lost.",
            "Nothing was restored",
        )
    with _open_stopped(data_dir) as settings:
        ops.check(settings, manifest)
        with ReadingProgress(Console(stderr=True), None) as progress:
            work = ops.restore(settings, file, manifest, progress.set_step, progress.add_rows)
            done = asyncio.run(work)
    save_partitions(data_dir, manifest.partitions)
    typer.echo(f"✓ The backup {_describe(manifest)} is restored.")
    if done.adoption.erased:
        typer.echo(f"  Erased again: {counted(done.adoption.erased, 'session')}.")
    if done.locked:
        typer.echo(
            f"  {counted(done.locked, 'secret')} of subscriptions cannot be decrypted: copy the "
            f"key file of the backup to {_key_file(settings, data_dir)} before you start headrace."
        )
    typer.echo(
        "  next:  start `headrace up`, or the roles with HEADRACE_KAFKA__PARTITIONS="
        f"{manifest.partitions}, then run `headrace audit`."
    )


@contextmanager
def _open_stopped(data_dir: Path) -> "Iterator[Settings]":
    """Yield the settings with a running Kafka. Raises UserError if `headrace up` runs."""
    from headrace.local.broker import archive
    from headrace.local.data_dir import DataDir, read_settings
    from headrace.ops.rebuild.kafka import open_kafka
    from headrace.up.lock import lock

    settings = read_settings(data_dir)
    is_local = "bootstrap_servers" not in settings.kafka.model_fields_set
    with ExitStack() as stack:
        if is_local or not settings.database.is_postgres:
            stack.enter_context(lock(DataDir(data_dir)))
        if is_local:
            archive.prepare()
        cluster = stack.enter_context(open_kafka(data_dir, is_new=is_local))
        yield _with_key_file(cluster, data_dir)


def _with_key_file(settings: "Settings", data_dir: Path) -> "Settings":
    """Return the settings with the key file of the data directory, unless one is configured."""
    key_file = _key_file(settings, data_dir)
    if not Path(key_file).exists():
        return settings
    secrets = settings.secrets.model_copy(update={"key_file": key_file})
    return settings.model_copy(update={"secrets": secrets})


def _key_file(settings: "Settings", data_dir: Path) -> str:
    """Return the path of the key file: the configured one, else that of the data directory."""
    return settings.secrets.key_file or str(data_dir.absolute() / "secrets.key")


def _describe(manifest: "Manifest") -> str:
    from sinks.sql.conversion import iso_utc

    counts = ", ".join(
        counted(manifest.rows[name], word)
        for name, word in (
            ("events", "event"),
            ("sessions", "visit"),
            ("sites", "site"),
            ("site_keys", "site key"),
            ("subscriptions", "subscription"),
        )
    )
    return f"of {iso_utc(manifest.created_at)[:16].replace('T', ' ')} UTC ({counts})"
