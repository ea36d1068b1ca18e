"""`headrace audit` and `headrace rebuild`: compare results with `events` and recompute them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.target import checked_site
from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

if TYPE_CHECKING:
    from headrace.ops.rebuild.run import Target
    from schemas.settings import Settings

rebuild = typer.Typer(
    help="Recompute results from the table events, in SQL and in their topic.",
    no_args_is_help=True,
)

_Site = Annotated[str | None, typer.Option(metavar="S", help="Only this site.")]
_From = Annotated[
    str | None,
    typer.Option("--from", metavar="T", help="Start time, inclusive, such as 2026-11-24T12:00Z."),
]


def audit(
    settle: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="How long to recheck rows that may differ due to lag."
        ),
    ] = 30.0,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Compare sessions, page_durations and alerts with events; exit with 1 if they differ."""
    import asyncio

    from rich.console import Console

    from headrace.local.data_dir import local_database, read_settings
    from headrace.ops.audit.listing import ReadingProgress, show_findings, verdict
    from headrace.ops.audit.run import audit as run
    from headrace.ops.audit.run import count_events
    from headrace.terminal.tables import table_console

    settings = read_settings(data_dir)
    database = local_database(settings.database, data_dir)
    settings = settings.model_copy(update={"database": database})
    with ReadingProgress(Console(stderr=True), asyncio.run(count_events(settings))) as progress:
        findings = asyncio.run(run(settings, settle, progress.add_rows, progress.show_retry))
    typer.echo(verdict(findings))
    show_findings(table_console(), findings)
    if any(found.differing for found in findings):
        raise typer.Exit(1)


@rebuild.command("sessions")
def rebuild_sessions(
    site: _Site = None, since: _From = None, data_dir: DataDirOption = DEFAULT
) -> None:
    """Recompute sessions; with --from, all sessions that were active since then.

    Stop the role streams first. The local broker is started if needed.
    """
    from headrace.ops.rebuild.run import sessions_of

    _rebuild(sessions_of, site, parse_time(since), data_dir)


@rebuild.command("durations")
def rebuild_durations(
    site: _Site = None, since: _From = None, data_dir: DataDirOption = DEFAULT
) -> None:
    """Recompute page_durations; with --from, from the start of that hour.

    Stop the role streams first. The local broker is started if needed.
    """
    from headrace.ops.rebuild.run import durations_of

    moment = parse_time(since)
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

    from headrace.ops.audit.listing import ReadingProgress
    from headrace.ops.audit.scope import Scope
    from headrace.ops.rebuild.kafka import open_kafka
    from headrace.ops.rebuild.run import rebuild as run

    scope = Scope(checked_site(site, "--site"), since)
    with open_kafka(data_dir) as settings, ReadingProgress(Console(stderr=True), None) as progress:
        done = asyncio.run(run(settings, target_of(settings), scope, progress.add_rows))
    typer.echo(
        f"{counted(done.written, 'row')} written, {done.removed:,} removed, "
        f"{counted(done.states, 'state')} published."
    )


def parse_time(text: str | None, option: str = "--from") -> datetime | None:
    """Parse an ISO 8601 time of an option; the default time zone is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time such as 2026-11-24T12:00Z", param_hint=option
        ) from None
    except OverflowError:
        raise typer.BadParameter(
            f"{text!r} is not in the years 1 to 9999 in UTC", param_hint=option
        ) from None
