"""`headrace status`."""

from typing import Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption


def status(
    data_dir: DataDirOption = DEFAULT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; with --watch one object per line.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Update until Ctrl-C.")] = False,
) -> None:
    """Show problems and their fixes, processes, consumer lag, rates, dead letters and row counts.

    Covers all processes of a cluster, on all machines. Exits with 1 if there is a problem. Rates
    are measured over three seconds.
    """
    import asyncio
    from contextlib import suppress

    from headrace.ops.status.collect import collect_status
    from headrace.ops.status.screen import show, watching

    if watch:
        with suppress(KeyboardInterrupt), watching(as_json=as_json) as update:
            while True:
                update(asyncio.run(collect_status(data_dir)))
    elif show(lambda: asyncio.run(collect_status(data_dir)), as_json=as_json).problems:
        raise typer.Exit(1)
