"""`headrace blocks`: the visitors and users that `headrace erase --block` has blocked."""

import asyncio
from typing import Annotated

import typer

from headrace.cli.target import checked_site
from headrace.local.data_dir_option import DEFAULT, DataDirOption

blocks = typer.Typer(
    help="List and remove blocks, which reject the events of erased persons.",
    no_args_is_help=True,
)

_SiteOption = Annotated[str, typer.Option("--site", metavar="S", help="The site.")]


@blocks.command("list")
def list_blocks(site: _SiteOption, data_dir: DataDirOption = DEFAULT) -> None:
    """List the blocked ids of a site, as hashes: the ids themselves are not stored."""
    from rich.table import Table

    from headrace.local.data_dir import local_settings
    from headrace.ops.blocks import list_blocked
    from headrace.terminal.tables import table_console
    from schemas.plurals import counted
    from sinks.sql.conversion import iso_utc

    checked_site(site, "--site")
    found = asyncio.run(list_blocked(local_settings(data_dir).kafka, site))
    if not found:
        typer.echo(f"No id of {site} is blocked.")
        return
    are = "is" if len(found) == 1 else "are"
    typer.echo(f"{counted(len(found), 'id')} of {site} {are} blocked.")
    table = Table("hash", "blocked")
    for one in found:
        table.add_row(one.hash, iso_utc(one.created_at)[:16].replace("T", " "))
    table_console().print(table)


@blocks.command("remove")
def remove_block(
    site: _SiteOption,
    visitor: Annotated[
        str | None, typer.Option("--visitor", metavar="V", help="A blocked visitor_id.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="U", help="A blocked user_id.")
    ] = None,
    hashed: Annotated[
        str | None,
        typer.Option("--hash", metavar="H", help="A hash of `headrace blocks list`."),
    ] = None,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Accept events of a visitor or user again, within 5 s."""
    from headrace.errors import UsageError
    from headrace.local.data_dir import local_settings
    from headrace.ops.blocks import unblock
    from headrace.ops.erase.selection import Selection
    from schemas.blocked_ids import hash_of

    checked_site(site, "--site")
    ids = Selection(site, visitor, user).ids
    hashes = [hash_of(site, kind, value) for kind, value in ids.items()]
    hashes += [hashed] if hashed is not None else []
    if not hashes:
        raise UsageError("Give --visitor, --user or --hash")
    asyncio.run(unblock(local_settings(data_dir).kafka, site, hashes))
    typer.echo(f"Unblocked on {site}; events are accepted again within 5 s.")
