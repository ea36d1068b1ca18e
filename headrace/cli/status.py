"""`headrace status`."""

from typing import Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption


def status(
    data_dir: DataDirOption = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show problems and their fixes, consumer lag, rates, commits, dead letters and row counts.

    Exits with 1 if there is a problem. Rates are measured over three seconds.
    """
    import asyncio
    from datetime import UTC, datetime

    import msgspec
    from rich.console import Console
    from rich.text import Text

    from headrace.ops.status import table
    from headrace.ops.status.collect import collect_status
    from headrace.terminal.tables import table_console

    with Console(stderr=True).status("Measuring rates, a few seconds …"):
        report = asyncio.run(collect_status(data_dir))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        console = table_console()
        for part in table.render_status(report, datetime.now(UTC)):
            console.print(part, soft_wrap=isinstance(part, Text))
    if report.problems:
        raise typer.Exit(1)
