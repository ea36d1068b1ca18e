"""`headrace schemas`: the Avro schemas, as files and in a schema registry."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from schemas.plurals import counted

schemas = typer.Typer(
    help="List and export the Avro schemas; register them in a schema registry.",
    no_args_is_help=True,
)

RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        help="The schema registry (default: HEADRACE_SCHEMA_REGISTRY__URL).",
    ),
]


@schemas.command("list")
def list_schemas() -> None:
    """List the schemas with their ids, records, files and topics."""
    from rich.table import Table

    from headrace.local.data_dir import read_settings
    from headrace.terminal.tables import table_console
    from schemas.codec import SCHEMA_FILES, ids_of, schema_of
    from schemas.topics import TOPICS

    read_settings()  # the topic prefix
    table = Table("id", "record", "file", "", "topics")
    for schema_id, file in SCHEMA_FILES.items():
        record = schema_of(schema_id)["name"]
        is_newest = ids_of(record)[-1] == schema_id
        names = (topic.name for topic in TOPICS if topic.record == record)
        newest = "newest" if is_newest else ""
        table.add_row(str(schema_id), record, file, newest, ", ".join(names))
    table_console().print(table)


@schemas.command("export")
def export_schemas(
    directory: Annotated[Path, typer.Argument(help="Created if it does not exist.")],
) -> None:
    """Write all schemas as .avsc files, and `ids.json` with the file of each schema id."""
    import json

    from schemas.codec import SCHEMA_FILES, schema_text

    directory.mkdir(parents=True, exist_ok=True)
    for schema_id, file in SCHEMA_FILES.items():
        (directory / file).write_text(schema_text(schema_id), "utf-8")
    ids = json.dumps(SCHEMA_FILES, indent=2)
    (directory / "ids.json").write_text(f"{ids}\n", "utf-8")
    typer.echo(f"{counted(len(SCHEMA_FILES), 'schema')} written to {directory}")


@schemas.command("register")
def register_schemas(registry: RegistryOption = None) -> None:
    """Register all schemas of all topics, under headrace's ids if the registry allows it.

    Safe to repeat. Run it before roles of a new version start.
    """
    from rich.table import Table

    from headrace.admin import schemas as admin
    from headrace.local.data_dir import read_settings
    from headrace.terminal.tables import table_console
    from schemas.codec import SCHEMA_FILES

    settings = admin.with_url(read_settings().schema_registry, registry)
    (ids, added) = asyncio.run(admin.register_schemas(settings))
    others = {own: registered for own, registered in ids.items() if own != registered}
    typer.echo(f"{counted(added, 'schema')} registered; {len(ids) - added} existed already.")
    if not others:
        typer.echo("All have headrace's ids.")
        return
    table = Table("headrace's id", "the registry's id", "file")
    for own, registered in others.items():
        table.add_row(str(own), str(registered), SCHEMA_FILES[own])
    table_console().print(table)
    typer.echo(
        f"The registry has other ids for {counted(len(others), 'schema')}. Set "
        f"HEADRACE_SCHEMA_REGISTRY__URL={settings.url} for all roles and commands, so that records "
        "are written with them."
    )


@schemas.command("check")
def check_schemas(registry: RegistryOption = None) -> None:
    """Compare a registry with the schemas of this version; exit with 1 if they differ."""
    from headrace.admin import schemas as admin
    from headrace.local.data_dir import read_settings

    settings = admin.with_url(read_settings().schema_registry, registry)
    problems = asyncio.run(admin.check_schemas(settings))
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"The schema registry at {settings.url} has all schemas.")
