"""`headrace audit` and `headrace rebuild`."""

from typing import Annotated

import typer

from infra.cli_admin import DEFAULT, DataDirOption


def audit(
    settle: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Look so long again at what differs: it may be late."
        ),
    ] = 30.0,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Compare sessions, page_durations and alerts with events; exit 1 when they differ."""
    import asyncio

    from rich.console import Console

    from infra.audit.run import audit as run
    from infra.audit.run import count_events
    from infra.audit.screen import ReadingScreen, show_findings
    from infra.data_dir import local_database, read_settings
    from infra.tables import table_console

    settings = read_settings()
    database = local_database(settings.database, data_dir)
    settings = settings.model_copy(update={"database": database})
    with ReadingScreen(Console(stderr=True), asyncio.run(count_events(settings))) as screen:
        findings = asyncio.run(run(settings, settle, screen.seen, screen.settling))
    show_findings(table_console(), findings)
    if any(found.differing for found in findings):
        typer.echo("See docs/audit.md for what is compared; `headrace rebuild` computes anew.")
        raise typer.Exit(1)
    typer.echo("All is as events say.")
