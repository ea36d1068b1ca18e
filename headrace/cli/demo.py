"""`headrace demo`."""

from typing import Annotated

import typer

from headrace.cli.target import ToOption, base_url, checked_site
from headrace.local.data_dir_option import TargetDataDirOption


def demo(
    visitors: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="The average number of visitors in five minutes."),
    ] = 60,
    rate: Annotated[
        int | None,
        typer.Option(min=1, help="Events per second (default: determined by --visitors)."),
    ] = None,
    events: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many events (default: on Ctrl-C).")
    ] = None,
    to: ToOption = None,
    data_dir: TargetDataDirOption = None,
    site_id: Annotated[str, typer.Option(help="The site_id of all events.")] = "demo",
    browser: Annotated[
        bool,
        typer.Option(
            "--browser",
            help="Visit a small site that has the tag in a real browser (Chromium or Chrome), "
            "instead of sending events.",
        ),
    ] = False,
) -> None:
    """Simulate visitors of a web shop: page views, errors, payments and more.

    Events are marked as simulated, in `user_agent` and by the property `simulated`; with --browser,
    in `user_agent` only.
    """
    if browser:
        site = checked_site(site_id) or site_id
        _browse(base_url(to, data_dir), site, has_limits=bool(rate or events))
        return
    import asyncio

    from rich.console import Console

    from headrace.errors import UserError
    from headrace.terminal.tables import table_console
    from headrace.traffic.demo.progress import DemoScreen
    from headrace.traffic.demo.run import Clock, Options
    from headrace.traffic.demo.run import demo as run
    from headrace.traffic.demo.simulation import Simulation
    from headrace.traffic.replay.endpoint import endpoint
    from headrace.traffic.replay.report import Report
    from headrace.traffic.replay.sender import NotAcceptedError

    options = Options(base_url(to, data_dir), rate, events)
    simulation = Simulation(visitors, checked_site(site_id) or site_id)
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


def _browse(base: str, site_id: str, *, has_limits: bool) -> None:
    """Visit the demo site in a browser until Ctrl-C."""
    import asyncio

    from rich.console import Console
    from rich.text import Text

    from headrace.errors import UsageError
    from headrace.traffic.browser.run import browse

    if has_limits:
        raise UsageError("--rate and --events cannot be used with --browser")
    console = Console(stderr=True)

    def announce(url: str) -> None:
        console.print(f"The demo site is {url}: visit it, too. Ctrl-C ends it.", soft_wrap=True)

    try:
        with console.status("the first visitors are on their way") as status:

            def show(text: str) -> None:
                status.update(Text(f"A visitor {text}"))

            asyncio.run(browse(base, site_id, announce, show))
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
