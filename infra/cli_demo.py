"""`headrace demo`."""

from typing import Annotated

import typer

from infra.cli_data_dir import RunningOption
from infra.cli_target import ToOption, base_url, checked_site


def demo(
    visitors: Annotated[
        int, typer.Option(min=1, max=100_000, help="About so many in any five minutes.")
    ] = 60,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Events a second (default: as people go).")
    ] = None,
    events: Annotated[
        int | None, typer.Option(min=1, help="End after so many (default: until Ctrl-C).")
    ] = None,
    to: ToOption = None,
    data_dir: RunningOption = None,
    site_id: Annotated[str, typer.Option(help="Whose visitors they are.")] = "demo",
) -> None:
    """Send simulated visitors to a made-up shop, who browse, leave, fail and pay.

    Each event is marked as simulated: in its user agent, and as `simulated` in its properties.
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
    # The screen says what is tried again.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    report = Report()
    try:
        with DemoScreen(Console(stderr=True)) as screen:
            asyncio.run(run(options, simulation, report, screen, Clock()))
    except KeyboardInterrupt:
        typer.echo("The visitors have gone home.", err=True)
    except NotAcceptedError as error:
        shown = endpoint(options.base).shown
        raise UserError(f"{shown} takes no events any more: {error}") from error
    finally:
        if report.sent:
            table_console().print(report.table())
