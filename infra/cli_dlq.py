"""`headrace dlq`: look at dead letters, and replay them."""

from collections.abc import Iterable
from typing import Annotated

import typer

from infra.cli_admin import DEFAULT, DataDirOption

dlq = typer.Typer(
    help="Look at dead letters, records that could not be processed, and replay them.",
    no_args_is_help=True,
)


@dlq.command("list")
def list_letters(
    topic: Annotated[
        str | None, typer.Option(help="Only of this topic, or of its dead letter topic.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many, the newest.")] = 50,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Show the newest dead letters, and how many there are for each reason."""
    import asyncio

    from infra.data_dir import local_settings
    from infra.dead_letters import screen
    from infra.dead_letters.read import survey
    from infra.tables import table_console

    kafka = local_settings(data_dir).kafka
    screen.quiet()
    overview = asyncio.run(survey(kafka, topic, limit))
    console = table_console()
    for shown in screen.of_overview(overview, console.width):
        console.print(shown)


@dlq.command("show")
def show_letter(
    letter_id: Annotated[
        str, typer.Argument(metavar="ID", help="As `headrace dlq list` shows it.")
    ],
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Show one dead letter: why it is one, its headers, its key and what it holds."""
    import asyncio

    from infra.data_dir import local_settings
    from infra.dead_letters import screen
    from infra.dead_letters.letter import Place
    from infra.dead_letters.read import find
    from infra.tables import table_console

    place = Place.parse(letter_id)
    kafka = local_settings(data_dir).kafka
    screen.quiet()
    record = asyncio.run(find(kafka, place))
    console = table_console()
    for shown in screen.of_record(record):
        console.print(shown, soft_wrap=True)


@dlq.command("replay")
def replay_letters(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="These alone, as `headrace dlq list` shows them."),
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="Only of this topic, or of its dead letter topic.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Only of this stage.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only of this reason.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many, the oldest.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Give dead letters to the stages that they came from, once their cause is mended.

    Each has its effect once, however often this is run. What is refused again is a new dead
    letter: try a few first, with --limit.
    """
    import asyncio

    from rich.console import Console

    from infra.data_dir import local_settings
    from infra.dead_letters import screen
    from infra.dead_letters.letter import Place
    from infra.dead_letters.replay import Choice, Report, replay
    from infra.tables import table_console
    from schemas.reject_reasons import DeadLetterReason
    from schemas.stages import STAGES

    _check("--stage", stage, STAGES)
    _check("--reason", reason, list(DeadLetterReason))
    places = [Place.parse(letter_id) for letter_id in ids or ()]
    choice = Choice(places, topic, stage, reason, limit)
    kafka = local_settings(data_dir).kafka
    screen.quiet()
    report = Report()
    try:
        with screen.progress(Console(stderr=True)) as look:
            asyncio.run(replay(kafka, choice, report, look, dry_run=dry_run))
    finally:
        table_console().print(screen.of_report(report, dry_run=dry_run))


def _check(option: str, value: str | None, known: Iterable[str]) -> None:
    """Refuse a value that no dead letter has: it would choose none, and look as if all was well."""
    if value is not None and value not in known:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}", param_hint=option)
