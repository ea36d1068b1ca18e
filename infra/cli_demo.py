"""`headrace demo`."""

from typing import Annotated

import typer

from infra.cli_data_dir import TargetDataDirOption
from infra.cli_target import ToOption, base_url, checked_site


def demo(
    visitors: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="The average number of visitors in five minutes."),
    ] = 60,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Events per second (default: set by the visitors).")
    ] = None,
    events: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many events (default: at Ctrl-C).")
    ] = None,
    to: ToOption = None,
    data_dir: TargetDataDirOption = None,
    site_id: Annotated[str, typer.Option(help="Site of the visitors.")] = "demo",
) -> None:
    """Simulate visitors of a web shop: page views, errors, payments and more.

    Events are marked as simulated, in `user_agent` and by the property `simulated`.
    """
    import asyncio
    import logging

    from rich.console import Console

    from infra.demo.crowd import Simulation
    from infra.demo.run import Clock, Options
    from infra.demo.run import demo as run
    from infra.demo.screen import DemoScreen
    from infra.errors import UserError
    from infra.replay.endpoint import endpoint
    from infra.replay.report import Report
    from infra.replay.sender import NotAcceptedError
    from infra.tables import table_console

    options = Options(base_url(to, data_dir), rate, events)
    simulation = Simulation(visitors, checked_site(site_id) or site_id)
    # The screen shows retries.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    report = Report()
    try:
        with DemoScreen(Console(stderr=True)) as screen:
            asyncio.run(run(options, simulation, report, screen, Clock()))
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
    except NotAcceptedError as error:
        shown = endpoint(options.base).shown
        raise UserError(f"{shown} no longer accepts events: {error}") from error
    finally:
        if report.sent:
            table_console().print(report.table())
