"""`headrace audit` and `headrace rebuild`: results held against `events`, and computed anew."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli_data_dir import DEFAULT, DataDirOption
from schemas.counted import counted

if TYPE_CHECKING:
    from infra.rebuild.run import Target
    from schemas.settings import Settings

rebuild = typer.Typer(
    help="Compute results anew from the table events, in SQL and in their topic.",
    no_args_is_help=True,
)

_Site = Annotated[str | None, typer.Option(metavar="S", help="Only of this site.")]
_From = Annotated[
    str | None,
    typer.Option("--from", metavar="T", help="Only of this time or later: 2026-11-24T12:00Z."),
]


def audit(
    settle: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Look again, so long, whether what differs was late."
        ),
    ] = 30.0,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Compare sessions, page_durations and alerts with events; exit 1 when they differ."""
    import asyncio

    from rich.console import Console

    from infra.audit.run import audit as run
    from infra.audit.run import count_events
    from infra.audit.screen import ReadingScreen, show_findings, verdict
    from infra.data_dir import local_database, read_settings
    from infra.tables import table_console

    settings = read_settings()
    database = local_database(settings.database, data_dir)
    settings = settings.model_copy(update={"database": database})
    with ReadingScreen(Console(stderr=True), asyncio.run(count_events(settings))) as screen:
        findings = asyncio.run(run(settings, settle, screen.advance, screen.show_retry))
    typer.echo(verdict(findings))
    show_findings(table_console(), findings)
    if any(found.differing for found in findings):
        raise typer.Exit(1)


@rebuild.command("sessions")
def rebuild_sessions(
    site: _Site = None, since: _From = None, data_dir: DataDirOption = DEFAULT
) -> None:
    """Compute sessions anew: whole ones, where a time is given those active since then.

    The role streams must be stopped; without `headrace up`, its broker is run meanwhile.
    """
    from infra.rebuild.run import sessions_of

    _rebuild(sessions_of, site, _time(since), data_dir)


@rebuild.command("durations")
def rebuild_durations(
    site: _Site = None, since: _From = None, data_dir: DataDirOption = DEFAULT
) -> None:
    """Compute page_durations anew: whole hours, where a time is given from its hour on.

    The role streams must be stopped; without `headrace up`, its broker is run meanwhile.
    """
    from infra.rebuild.run import durations_of

    moment = _time(since)
    hour = moment and moment.replace(minute=0, second=0, microsecond=0)
    _rebuild(durations_of, site, hour, data_dir)


def _rebuild(
    target_of: "Callable[[Settings], Target]",
    site: str | None,
    since: datetime | None,
    data_dir: Path,
) -> None:
    import asyncio

    from rich.console import Console

    from infra.audit.scope import Scope
    from infra.audit.screen import ReadingScreen
    from infra.rebuild.broker import open_kafka
    from infra.rebuild.run import rebuild as run

    scope = Scope(_checked(site), since)
    with open_kafka(data_dir) as settings, ReadingScreen(Console(stderr=True), None) as screen:
        done = asyncio.run(run(settings, target_of(settings), scope, screen.advance))
    typer.echo(
        f"{counted(done.written, 'row')} written, {done.removed:,} removed, "
        f"{counted(done.states, 'state')} sent."
    )


def _checked(site: str | None) -> str | None:
    from schemas.settings import SITE_ID

    if site is not None and not SITE_ID.fullmatch(site):
        raise typer.BadParameter(
            "a site is 1 to 64 characters out of A-Z a-z 0-9 . _ -", param_hint="--site"
        )
    return site


def _time(text: str | None) -> datetime | None:
    """Read a time; without an offset it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time such as 2026-11-24T12:00Z", param_hint="--from"
        ) from None
    except OverflowError:
        raise typer.BadParameter(
            f"{text!r} is not in the years 1 to 9999 in UTC", param_hint="--from"
        ) from None
