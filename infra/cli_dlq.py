"""`headrace dlq`: look at dead letters."""

from typing import Annotated

import typer

from infra.cli_admin import DEFAULT, DataDirOption

dlq = typer.Typer(
    help="Look at dead letters: records that could not be processed.", no_args_is_help=True
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

    from infra import dead_letter_screen, dead_letters
    from infra.data_dir import local_settings
    from infra.tables import table_console

    kafka = local_settings(data_dir).kafka
    dead_letter_screen.quiet()
    overview = asyncio.run(dead_letters.survey(kafka, topic, limit))
    console = table_console()
    for shown in dead_letter_screen.of_overview(overview, console.width):
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

    from infra import dead_letter_screen, dead_letters
    from infra.data_dir import local_settings
    from infra.tables import table_console

    place = dead_letters.Place.parse(letter_id)
    kafka = local_settings(data_dir).kafka
    dead_letter_screen.quiet()
    record = asyncio.run(dead_letters.find(kafka, place))
    console = table_console()
    for shown in dead_letter_screen.of_record(record):
        console.print(shown, soft_wrap=True)
