"""`headrace topics` and `headrace db`."""

import asyncio

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

topics = typer.Typer(help="Create and show the Kafka topics.", no_args_is_help=True)
db = typer.Typer(help="Migrate and check the database.", no_args_is_help=True)


@topics.command("create")
def create_topics(data_dir: DataDirOption = DEFAULT) -> None:
    """Create missing topics; fail if a topic has another number of partitions.

    Existing topics get the settings that results depend on (see docs/kafka.md), and topics of
    routed events at least the retention of events-raw. Other settings are not changed.
    """
    from headrace.admin import topics as admin
    from headrace.local.data_dir import local_settings

    kafka = local_settings(data_dir).kafka
    created = asyncio.run(admin.create_topics(kafka))
    for name in created:
        typer.echo(f"created {name} with {counted(kafka.partitions, 'partition')}")
    if created:
        typer.echo(f"{counted(len(created), 'topic')} created; the others exist.")
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
