"""`headrace repartition`: add partitions to the topics of a cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

if TYPE_CHECKING:
    from headrace.ops.repartition.run import RepartitionResult


def repartition(
    partitions: Annotated[
        int, typer.Option(min=1, max=1000, help="The new number of partitions of each topic.")
    ],
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Add partitions to all topics, so that more workers can share the load.

    Stop `headrace up`, or api and then all other roles, once `headrace status` shows no lag. The
    local broker is started if needed. Safe to repeat.
    """
    import asyncio

    from rich.console import Console

    from headrace.cli.adopt_cluster import open_kafka
    from headrace.local.data_dir import save_partitions
    from headrace.ops.repartition.run import repartition as run

    with open_kafka(data_dir) as settings, Console(stderr=True).status("") as status:
        done = asyncio.run(run(settings, partitions, status.update))
    save_partitions(data_dir, partitions)
    _show(done)


def _show(done: "RepartitionResult") -> None:
    if not done.is_new:
        typer.echo(f"Nothing to do: the topics have {counted(done.partitions, 'partition')}.")
        return
    typer.echo(f"✓ The topics have {done.partitions} partitions (before: {done.before}).")
    typer.echo(
        f"  moved:  {counted(done.states, 'state')}, {counted(done.ids, 'event id')}, "
        f"{counted(done.events, 'event')} accepted in the meantime; this is epoch {done.epoch}"
    )
    typer.echo(
        f"  next:   set HEADRACE_KAFKA__PARTITIONS={done.partitions} for all roles (`headrace up` "
        "of this\n          data directory remembers it), start them, then run `headrace audit`."
    )
