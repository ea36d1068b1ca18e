"""`headrace status`."""

from typing import Annotated

import typer

from infra.cli_data_dir import DEFAULT, DataDirOption


def status(
    data_dir: DataDirOption = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say whether all is well, else what to do; show lag, rate, commits, dead letters and rows.

    Exits with 1 when something is red. It looks twice, three seconds apart.
    """
    import asyncio
    import logging
    from datetime import UTC, datetime

    import msgspec
    from rich.console import Console
    from rich.text import Text

    from infra.status import screen
    from infra.status.look import collect_status
    from infra.tables import table_console

    logging.getLogger("stamina").addHandler(logging.NullHandler())  # a wait is no news
    with Console(stderr=True).status("Looking twice, a few seconds apart …"):
        found = asyncio.run(collect_status(data_dir))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        console = table_console()
        for part in screen.render_status(found, datetime.now(UTC)):
            console.print(part, soft_wrap=isinstance(part, Text))
    if found.problems:
        raise typer.Exit(1)
