"""`headrace dlq`: look at dead letters, replay or discard them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli_data_dir import DEFAULT, DataDirOption

if TYPE_CHECKING:  # else it is imported with the command that needs it
    from infra.dead_letters.replay import Selection

dlq = typer.Typer(
    help="Look at dead letters, records that could not be processed; replay or discard them.",
    no_args_is_help=True,
)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="These alone, as `headrace dlq list` shows them."),
]
OfTopic = Annotated[
    str | None, typer.Option("--topic", help="Only of this topic, or of its dead letter topic.")
]
OfStage = Annotated[str | None, typer.Option("--stage", help="Only of this stage.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only of this reason.")]
Oldest = Annotated[int | None, typer.Option("--limit", min=1, help="So many, the oldest.")]


@dlq.command("list")
def list_letters(
    topic: OfTopic = None,
    stage: OfStage = None,
    reason: OfReason = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many, the newest.")] = 50,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show those that were discarded, too.")
    ] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Show the newest dead letters, and how many there are for each reason."""
    import asyncio

    from infra.data_dir import local_settings
    from infra.dead_letters import screen
    from infra.dead_letters.read import read_overview
    from infra.tables import table_console

    selection = _selection((), None, stage, reason, None)
    kafka = local_settings(data_dir).kafka
    overview = asyncio.run(
        read_overview(kafka, topic, limit, selection.matches, with_discarded=show_all)
    )
    console = table_console()
    for shown in screen.render_overview(overview, console.width):
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
    from infra.dead_letters.letter import RecordId
    from infra.dead_letters.read import read_letter
    from infra.tables import table_console

    selected_id = RecordId.parse(letter_id)
    kafka = local_settings(data_dir).kafka
    record, resolutions = asyncio.run(read_letter(kafka, selected_id))
    console = table_console()
    for shown in screen.render_record(record, resolutions):
        console.print(shown, soft_wrap=True)


@dlq.command("replay")
def replay_letters(
    ids: Ids = None,
    topic: OfTopic = None,
    stage: OfStage = None,
    reason: OfReason = None,
    limit: Oldest = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Reprocess dead letters after fixing their cause: each goes to the stage that rejected it.

    Each has its effect once, however often this is run. What is rejected again is a new dead
    letter: try a few first, with --limit.
    """
    import asyncio

    from rich.console import Console

    from infra.data_dir import local_settings
    from infra.dead_letters import screen
    from infra.dead_letters.replay import Report, replay
    from infra.tables import table_console

    selection = _selection(ids, topic, stage, reason, limit)
    kafka = local_settings(data_dir).kafka
    report = Report()
    try:
        with screen.progress(Console(stderr=True)) as on_progress:
            asyncio.run(replay(kafka, selection, report, on_progress, dry_run=dry_run))
    finally:
        for shown in screen.render_report(report, dry_run=dry_run):
            table_console().print(shown)


@dlq.command("discard")
def discard_letters(
    why: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", help="Why they need no replay; is kept."),
    ],
    ids: Ids = None,
    topic: OfTopic = None,
    stage: OfStage = None,
    letter_reason: Annotated[
        str | None, typer.Option(help="Only of this reason, as `headrace dlq list` shows it.")
    ] = None,
    limit: Oldest = None,
    every: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, as with IDs.")] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Record that dead letters need no replay: they no longer count as a problem.

    Who, when and why is kept for 60 days. Each counts once, however often this is run. The records
    themselves stay until their 30 days are over.
    """
    import asyncio

    from infra.data_dir import local_settings
    from infra.dead_letters import screen
    from infra.dead_letters.discard import checked_reason, discard, select
    from infra.dead_letters.replay import Report
    from infra.errors import UsageError
    from schemas.counted import counted

    selection = _selection(ids, topic, stage, letter_reason, limit, "--letter-reason")
    if not (ids or topic or stage or letter_reason or every):
        raise UsageError(
            "Nothing is chosen: give an ID of `headrace dlq list`, --topic, --stage, "
            "--letter-reason or --all"
        )
    reason = checked_reason(why)
    kafka = local_settings(data_dir).kafka
    report = Report()
    selected = asyncio.run(select(kafka, selection, report))
    for line in screen.render_selection(selected, report):
        typer.echo(line)
    letters = counted(len(selected), "dead letter")
    if selected and not (ids or yes):
        _confirm(f"Discard {letters}?")
    asyncio.run(discard(kafka, selected, reason))
    typer.echo(f"{letters} discarded.")


def _confirm(question: str) -> None:
    from infra.errors import UserError

    try:
        is_confirmed = typer.confirm(question)
    except typer.Abort:  # there is nobody to ask
        is_confirmed = False
    if not is_confirmed:
        raise UserError("Nothing was discarded: answer y, or give --yes")


def _selection(
    ids: Iterable[str] | None,
    topic: str | None,
    stage: str | None,
    reason: str | None,
    limit: int | None,
    reason_option: str = "--reason",
) -> "Selection":
    """Return what the filters choose; `typer.BadParameter` for one that no dead letter has."""
    from infra.dead_letters.letter import RecordId
    from infra.dead_letters.replay import Selection
    from schemas.reject_reasons import DeadLetterReason
    from schemas.stages import STAGES

    _check("--stage", stage, STAGES)
    _check(reason_option, reason, list(DeadLetterReason))
    return Selection([RecordId.parse(text) for text in ids or ()], topic, stage, reason, limit)


def _check(option: str, value: str | None, known: Iterable[str]) -> None:
    """Refuse a value that no dead letter has: it would choose none, and look as if all was well."""
    if value is not None and value not in known:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}", param_hint=option)
