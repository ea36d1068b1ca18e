"""`headrace dlq`: list, replay and discard dead letters."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption

if TYPE_CHECKING:  # imported by the commands that need it
    from headrace.ops.dead_letters.replay import Selection

dlq = typer.Typer(
    help="List, replay and discard dead letters: records that could not be processed.",
    no_args_is_help=True,
)

IdArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Only dead letters with these ids."),
]
TopicOption = Annotated[
    str | None, typer.Option("--topic", help="Only from this topic or its dead letter topic.")
]
StageOption = Annotated[str | None, typer.Option("--stage", help="Only from this stage.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only dead letters with this reason.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most this many, oldest first.")
]


@dlq.command("list")
def list_letters(
    topic: TopicOption = None,
    stage: StageOption = None,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="The maximum number of dead letters.")] = 50,
    show_all: Annotated[bool, typer.Option("--all", help="Include discarded ones.")] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Show the newest dead letters, and their number per reason."""
    import asyncio

    from headrace.local.data_dir import local_settings
    from headrace.ops.dead_letters import listing
    from headrace.ops.dead_letters.reader import read_overview
    from headrace.terminal.tables import table_console

    selection = _selection((), None, stage, reason, None)
    kafka = local_settings(data_dir).kafka
    overview = asyncio.run(
        read_overview(kafka, topic, limit, selection.matches, with_discarded=show_all)
    )
    console = table_console()
    for shown in listing.render_overview(overview, console.width):
        console.print(shown)


@dlq.command("show")
def show_letter(
    letter_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id shown by `headrace dlq list`.")
    ],
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Show a dead letter: its reason, headers, key and value."""
    import asyncio

    from headrace.local.data_dir import local_settings
    from headrace.ops.dead_letters.dead_letter import RecordId
    from headrace.ops.dead_letters.reader import read_letter
    from headrace.ops.dead_letters.record_view import render_record
    from headrace.terminal.tables import table_console

    selected_id = RecordId.parse(letter_id)
    kafka = local_settings(data_dir).kafka
    record, resolutions = asyncio.run(read_letter(kafka, selected_id))
    console = table_console()
    for shown in render_record(record, resolutions):
        console.print(shown, soft_wrap=True)


@dlq.command("replay")
def replay_letters(
    ids: IdArguments = None,
    topic: TopicOption = None,
    stage: StageOption = None,
    reason: ReasonOption = None,
    limit: LimitOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be replayed.")
    ] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Reprocess dead letters after fixing their cause, at the stage that rejected them.

    Replays are idempotent. A record that is rejected again becomes a new dead letter: try a few
    first, with --limit.
    """
    import asyncio

    from rich.console import Console

    from headrace.local.data_dir import local_settings
    from headrace.ops.dead_letters import listing
    from headrace.ops.dead_letters.replay import Report, replay
    from headrace.terminal.tables import table_console

    selection = _selection(ids, topic, stage, reason, limit)
    kafka = local_settings(data_dir).kafka
    report = Report()
    try:
        with listing.progress(Console(stderr=True)) as on_progress:
            asyncio.run(replay(kafka, selection, report, on_progress, dry_run=dry_run))
    finally:
        for shown in listing.render_report(report, dry_run=dry_run):
            table_console().print(shown)


@dlq.command("discard")
def discard_letters(
    why: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", help="Why no replay is needed."),
    ],
    ids: IdArguments = None,
    topic: TopicOption = None,
    stage: StageOption = None,
    letter_reason: Annotated[
        str | None, typer.Option(help="Only dead letters with this reason.")
    ] = None,
    limit: LimitOption = None,
    select_all: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Mark dead letters as needing no replay, so that `headrace status` ignores them.

    User, time and reason are retained for 60 days, the records for 30 days as before. Safe to
    repeat. Does not ask for confirmation if IDs are given.
    """
    import asyncio

    from headrace.errors import UsageError
    from headrace.local.data_dir import local_settings
    from headrace.ops.dead_letters import listing
    from headrace.ops.dead_letters.discard import checked_reason, discard, select
    from headrace.ops.dead_letters.replay import Report
    from headrace.terminal.confirmation import confirm
    from schemas.plurals import counted

    selection = _selection(ids, topic, stage, letter_reason, limit, "--letter-reason")
    if not (ids or topic or stage or letter_reason or select_all):
        raise UsageError(
            "Nothing is selected: specify an ID (see `headrace dlq list`), --topic, --stage, "
            "--letter-reason or --all"
        )
    reason = checked_reason(why)
    kafka = local_settings(data_dir).kafka
    report = Report()
    selected = asyncio.run(select(kafka, selection, report))
    for line in listing.render_selection(selected, report):
        typer.echo(line)
    letters = counted(len(selected), "dead letter")
    if selected and not (ids or yes):
        confirm(f"Discard {letters}?", "Nothing was discarded")
    asyncio.run(discard(kafka, selected, reason))
    typer.echo(f"{letters} discarded.")


def _selection(
    ids: Iterable[str] | None,
    topic: str | None,
    stage: str | None,
    reason: str | None,
    limit: int | None,
    reason_option: str = "--reason",
) -> "Selection":
    """Return the selection of dead letters. Raises typer.BadParameter for an unknown value."""
    from headrace.ops.dead_letters.dead_letter import RecordId
    from headrace.ops.dead_letters.replay import Selection
    from schemas.reject_reasons import DeadLetterReason
    from schemas.stages import STAGES

    _check("--stage", stage, STAGES)
    _check(reason_option, reason, list(DeadLetterReason))
    return Selection([RecordId.parse(text) for text in ids or ()], topic, stage, reason, limit)


def _check(option: str, value: str | None, allowed: Iterable[str]) -> None:
    """Raise typer.BadParameter for an unknown value, which would silently select nothing."""
    if value is not None and value not in allowed:
        names = ", ".join(allowed)
        raise typer.BadParameter(f"{value!r} is not one of {names}", param_hint=option)
