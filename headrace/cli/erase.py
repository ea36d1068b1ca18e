"""`headrace erase`: delete what is stored about a person, or a site."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.audit import parse_time
from headrace.cli.target import checked_site
from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

if TYPE_CHECKING:
    from headrace.ops.erase.selection import Selection


def erase(
    site: Annotated[str, typer.Option("--site", help="The site.")],
    visitor: Annotated[
        str | None, typer.Option("--visitor", help="Sessions with this visitor_id.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Sessions with this user_id.")] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", help="Only sessions without events since this time (ISO 8601)."),
    ] = None,
    block: Annotated[
        bool,
        typer.Option(
            "--block", help="Reject later events with these ids, until `headrace blocks remove`."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Delete a person's sessions, or with --site alone everything of a site.

    Deletes rows in SQL and state in Kafka while headrace runs. Safe to repeat.
    """
    import asyncio

    from rich.console import Console

    from headrace.local.data_dir import local_settings
    from headrace.ops.erase import receipt as receipts
    from headrace.ops.erase.run import erase as run
    from headrace.ops.erase.run import preview
    from headrace.ops.erase.selection import Selection
    from headrace.terminal.confirmation import confirm

    moment: datetime | None = parse_time(before, "--before")
    selection = Selection(checked_site(site, "--site") or site, visitor, user, moment)
    if block:
        _check_block(selection)
    settings = local_settings(data_dir)
    found = asyncio.run(preview(settings, selection))
    if not found.sessions and not selection.is_site and not block:
        typer.echo("There is nothing to erase.")
        raise typer.Exit
    if not yes:
        events = counted(found.rows["events"], "event")
        sessions = counted(found.sessions, "session")
        confirm(f"Erase {sessions} with {events} of {site}?", "Nothing was erased")
    with Console(stderr=True).status("") as status:
        done = asyncio.run(run(settings, selection, status.update, block=block))
    for line in receipts.lines(done):
        typer.echo(line)


def _check_block(selection: "Selection") -> None:
    """Raise typer.BadParameter if the ids cannot be blocked."""
    from producer_api.events.derive.visitors import is_derived

    problem = ""
    if not selection.ids:
        problem = "needs --visitor or --user"
    elif selection.visitor_id is not None and is_derived(selection.visitor_id):
        problem = (
            f"{selection.visitor_id} is an id that headrace derived. It changes every day at "
            "midnight UTC, so a block would not reject the visitor's later events. Erase without "
            "--block; a user_id, or a visitor_id that the site sets itself, can be blocked"
        )
    if problem:
        raise typer.BadParameter(problem, param_hint="--block")
