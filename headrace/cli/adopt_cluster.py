"""`headrace adopt-cluster`: continue a database with another Kafka cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

if TYPE_CHECKING:
    from headrace.ops.adopt.run import AdoptionResult
    from schemas.settings import Settings


def adopt_cluster(
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Adopt the cluster even if the database belongs to it, if topics were recreated.",
        ),
    ] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Continue the database with another Kafka cluster, or one with recreated topics.

    Stop all roles first. The local broker is started if needed. Safe to repeat.
    """
    import asyncio

    from rich.console import Console

    from headrace.local.data_dir import save_partitions
    from headrace.ops.adopt.run import adopt
    from headrace.ops.audit.listing import ReadingProgress

    with open_kafka(data_dir) as settings, ReadingProgress(Console(stderr=True), None) as progress:
        work = adopt(settings, force=force, on_step=progress.set_step, on_rows=progress.add_rows)
        done = asyncio.run(work)
    save_partitions(data_dir, done.partitions)
    _show(done)


@contextmanager
def open_kafka(data_dir: Path) -> "Iterator[Settings]":
    """Yield the settings of the cluster; start the local broker if none is configured."""
    from headrace.admin.database import check_exists
    from headrace.local.broker import archive
    from headrace.local.data_dir import local_database, read_settings
    from headrace.ops.rebuild import kafka

    settings = read_settings(data_dir)
    database = local_database(settings.database, data_dir)
    check_exists(database)
    is_local = "bootstrap_servers" not in settings.kafka.model_fields_set
    if is_local:
        archive.prepare()
    with kafka.open_kafka(data_dir, is_new=is_local) as cluster:
        yield cluster


def _show(done: "AdoptionResult") -> None:
    name = f"the Kafka cluster {done.cluster_id} (epoch {done.epoch})"
    if not done.is_new:
        typer.echo(f"Nothing to do: the database belongs to {name}, or is empty.")
        return
    previous = ", ".join(
        f"{cluster} (epoch {epoch})" for cluster, epoch in sorted(done.previous_clusters)
    )
    from schemas.topics import EVENTS_RAW

    stored = sorted(
        (tp.partition, offset)
        for tp, offset in done.previous_offsets.items()
        if tp.topic == EVENTS_RAW.name
    )
    ends = ", ".join(f"{partition}: {offset:,}" for partition, offset in stored) or "unknown"
    starts = ", ".join(
        f"{partition}: {offset:,}" for partition, offset in done.start_offsets.items()
    )
    typer.echo(f"✓ The database belongs to {name} now.")
    typer.echo(f"  before:       {previous or 'unknown'}; offsets of events-raw: {ends}")
    typer.echo("                later records of that cluster are not in the database")
    typer.echo(f"  events-raw:   start offsets: {starts}")
    typer.echo(
        f"  written:      {counted(done.states, 'state')}, {counted(done.ids, 'event id')}, "
        f"{counted(done.alerts, 'missing alert')}, {counted(done.subscriptions, 'subscription')}"
    )
    typer.echo(
        "  next:         start `headrace up` or the roles, with HEADRACE_KAFKA__PARTITIONS="
        f"{done.partitions}, then run `headrace audit`."
    )
    typer.echo("                Import windows are not carried over: open them again.")
