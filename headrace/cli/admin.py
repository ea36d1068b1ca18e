"""`headrace topics` and `headrace db`."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

topics = typer.Typer(help="Create and show the Kafka topics.", no_args_is_help=True)
db = typer.Typer(help="Migrate and check the database.", no_args_is_help=True)


@topics.command("create")
def create_topics(
    minimal: Annotated[
        bool,
        typer.Option("--minimal", help="Set only the configs that results depend on."),
    ] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Create missing topics; fail if a topic has another number of partitions.

    Existing topics get the settings that results depend on (see docs/kafka.md), and topics of
    routed events at least the retention of events-raw. Other settings are not changed.
    """
    from headrace.admin import topics as admin
    from headrace.local.data_dir import local_settings
    from schemas.topics import TOPICS

    kafka = local_settings(data_dir).kafka
    created = asyncio.run(admin.create_topics(kafka, minimal=minimal))
    for name in created:
        typer.echo(f"created {name} with {counted(kafka.partitions, 'partition')}")
    if created:
        others = "" if len(created) == len(TOPICS) else "; the others exist"
        typer.echo(f"{counted(len(created), 'topic')} created{others}.")
    else:
        typer.echo("All topics exist.")
    for name, settings in asyncio.run(admin.update_topics(kafka, created)).items():
        changed = ", ".join(f"{key}={value}" for key, value in settings.items())
        typer.echo(f"updated {name}: {changed}")


@topics.command("describe")
def describe_topics(data_dir: DataDirOption = DEFAULT) -> None:
    """Show the topics, their partitions and which are missing."""
    from rich.table import Table

    from headrace.admin import topics as admin
    from headrace.local.data_dir import local_settings
    from headrace.terminal.tables import table_console

    table = Table("topic", "partitions", "key", "record", "cleanup")
    states = asyncio.run(admin.describe_topics(local_settings(data_dir).kafka))
    for state in states:
        topic = state.topic
        count = "[red]missing[/red]" if state.partitions is None else str(state.partitions)
        table.add_row(topic.name, count, topic.key, topic.record, topic.cleanup)
    missing = sum(state.partitions is None for state in states)
    if missing:
        typer.echo(f"✗ {counted(missing, 'topic')} missing: run `headrace topics create`.")
    else:
        typer.echo(f"✓ All {counted(len(states), 'topic')} exist.")
    table_console().print(table)
    if missing:
        raise typer.Exit(1)


@topics.command("check")
def check_topics(data_dir: DataDirOption = DEFAULT) -> None:
    """Compare the topics with what headrace needs; exit with 1 if results depend on a difference.

    Compares partitions, replicas and configs, with the settings HEADRACE_KAFKA__PARTITIONS,
    …__REPLICATION_FACTOR and …__MIN_INSYNC_REPLICAS.
    """
    from headrace.admin.topic_check import check_topics as check_all
    from headrace.local.data_dir import local_settings

    differences = asyncio.run(check_all(local_settings(data_dir).kafka))
    for difference in sorted(differences, key=lambda one: not one.required):
        mark = "✗" if difference.required else "!"
        typer.echo(f"{mark} {difference.topic} {difference.sentence}\n  {difference.fix}")
    wrong = sum(difference.required for difference in differences)
    if wrong:
        typer.echo(
            f"{counted(wrong, 'difference')} to correct. `headrace topics create` creates missing "
            "topics, and corrects cleanup.policy, message.timestamp.type and max.message.bytes."
        )
        raise typer.Exit(1)
    others = f"; {counted(len(differences), 'config')} could be better" if differences else ""
    typer.echo(f"✓ All topics are as headrace needs them{others}.")


@topics.command("cat")
def cat_topic(
    topic: Annotated[str, typer.Argument(help="With or without the topic prefix.")],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="POSITION",
            help="beginning, end, an offset (with --partition), or a time in ISO 8601.",
        ),
    ] = "beginning",
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many records.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new records.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Print the decoded records of a topic, in the order of each partition.

    Keys, headers and values are printed; records without a value are marked as tombstones,
    erasures or punctuation.
    """
    from headrace.local.data_dir import local_settings
    from headrace.ops.cat import render
    from headrace.ops.cat.read import Start, find_topic, read_topic
    from headrace.terminal.tables import table_console

    kafka = local_settings(data_dir).kafka
    found, position = find_topic(topic), Start.parse(start)
    console = table_console()

    async def print_records() -> None:
        records = read_topic(kafka, found, position, partition=partition, follow=follow)
        printed = 0
        async with aclosing(records):
            async for record in records:
                if as_json:
                    typer.echo(render.to_json(record, found))
                else:
                    for line in render.to_text(record, found):
                        console.print(line, soft_wrap=True, highlight=False)
                printed += 1
                if printed == limit:
                    return

    asyncio.run(print_records())


@db.command("upgrade")
def upgrade(data_dir: DataDirOption = DEFAULT) -> None:
    """Migrate the database to this version. Safe to run concurrently."""
    from headrace.admin.database import upgrade_database
    from headrace.local.data_dir import database_settings

    upgrade_database(database_settings(data_dir))
    typer.echo("The database is up to date.")


@db.command("check")
def check(data_dir: DataDirOption = DEFAULT) -> None:
    """Compare the database with the schema of this version."""
    from headrace.admin.database import check_database
    from headrace.local.data_dir import database_settings

    differences = check_database(database_settings(data_dir))
    for difference in differences:
        typer.echo(difference)
    if differences:
        raise typer.Exit(1)
    typer.echo("The database has the schema of this version.")
