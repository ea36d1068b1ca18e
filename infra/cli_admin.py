"""`headrace topics` and `headrace db`: set up and look."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

DEFAULT = Path(".headrace")
DataDirOption = Annotated[
    Path, typer.Option(help="Of the headrace on this machine; used where no setting says more.")
]

topics = typer.Typer(help="Create and show the Kafka topics.", no_args_is_help=True)
db = typer.Typer(help="Migrate and check the database.", no_args_is_help=True)


@topics.command("create")
def create_topics(data_dir: DataDirOption = DEFAULT) -> None:
    """Create the topics that are missing; refuse a wrong number of partitions."""
    from infra import topics as admin
    from infra.data_dir import local_settings

    kafka = local_settings(data_dir).kafka
    created = asyncio.run(admin.create_topics(kafka))
    for name in created:
        typer.echo(f"created {name} with {kafka.partitions} partitions")
    typer.echo(f"{len(created)} created, the others were there.")


@topics.command("describe")
def describe_topics(data_dir: DataDirOption = DEFAULT) -> None:
    """Show what is there of the topics."""
    from rich.table import Table

    from infra import topics as admin
    from infra.data_dir import local_settings
    from infra.tables import table_console

    table = Table("topic", "partitions", "key", "record", "cleanup")
    states = asyncio.run(admin.describe_topics(local_settings(data_dir).kafka))
    for state in states:
        topic = state.topic
        count = "[red]missing[/red]" if state.partitions is None else str(state.partitions)
        table.add_row(topic.name, count, topic.key, topic.record, topic.cleanup)
    table_console().print(table)
    if any(state.partitions is None for state in states):
        typer.echo("Run `headrace topics create` for those that are missing.")
        raise typer.Exit(1)


@db.command("upgrade")
def upgrade(data_dir: DataDirOption = DEFAULT) -> None:
    """Bring the database to this version; safe while others do the same."""
    from infra.data_dir import local_database, read_settings
    from infra.database import upgrade_database

    database = local_database(read_settings().database, data_dir)
    upgrade_database(database)
    typer.echo("The database is up to date.")


@db.command("check")
def check(data_dir: DataDirOption = DEFAULT) -> None:
    """Compare the database with what this version of headrace expects."""
    from infra.data_dir import local_database, read_settings
    from infra.database import check_database

    differences = check_database(local_database(read_settings().database, data_dir))
    for difference in differences:
        typer.echo(difference)
    if differences:
        raise typer.Exit(1)
    typer.echo("The database is as this version of headrace expects it.")
