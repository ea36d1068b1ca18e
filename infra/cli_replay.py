"""`headrace replay`."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli_target import RunningOption, ToOption, base_url, checked_site


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="JSON lines, a JSON array or CSV with our field names as headers (screen.width); "
            "each may be gzipped. `-` is standard input.",
        ),
    ],
    to: ToOption = None,
    data_dir: RunningOption = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, help="Events a second (default: as fast as it goes)."),
    ] = None,
    site_id: Annotated[
        str | None, typer.Option(help="Send every event as one of this site.")
    ] = None,
) -> None:
    """Send recorded events through HTTP, in their order, with their own timestamps.

    Those of over 24 hours ago are kept for sites in the server's HEADRACE_IMPORT__SITES.
    """
    import asyncio
    import logging

    from rich.console import Console

    from infra.replay.report import Report
    from infra.replay.run import Options
    from infra.replay.run import replay as run
    from infra.replay.screen import ReplayScreen
    from infra.replay.source import total_bytes
    from infra.tables import table_console

    options = Options(_checked(files), base_url(to, data_dir), rate, checked_site(site_id))
    # The screen says what is tried again.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    report = Report()
    is_whole = False
    try:
        with ReplayScreen(Console(stderr=True), total_bytes(files)) as screen:
            asyncio.run(run(options, report, screen))
        is_whole = True
    except KeyboardInterrupt:
        typer.echo(f"Stopped; the last event sent is {report.last or 'none'}.", err=True)
        raise typer.Exit(1) from None
    finally:
        if report.sent or is_whole:
            table_console().print(report.table())


def _checked(files: list[Path]) -> list[Path]:
    from infra.replay.source import STANDARD_INPUT

    if files.count(STANDARD_INPUT) > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="FILE")
    for file in files:
        if file != STANDARD_INPUT and (not file.exists() or file.is_dir()):
            kind = "is a directory" if file.is_dir() else "does not exist"
            raise typer.BadParameter(f"{file} {kind}", param_hint="FILE")
    return files
