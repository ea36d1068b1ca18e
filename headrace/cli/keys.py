"""`headrace keys`: manage site keys."""

import asyncio
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption

if TYPE_CHECKING:
    from sinks.sites.service import SiteService

keys = typer.Typer(
    help="Create, list and revoke site keys, with which back ends send events.",
    no_args_is_help=True,
)

_SiteOption = Annotated[str, typer.Option("--site", metavar="S", help="The site.")]


@keys.command("create")
def create_key(
    site: _SiteOption,
    name: Annotated[str, typer.Option(help="Name in `headrace keys list`.")] = "",
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Create a site key and print it on the last line. It cannot be shown again."""
    from headrace.ops.services import use_sites
    from headrace.ops.sites import not_registered

    made = asyncio.run(
        use_sites(
            data_dir, lambda service: service.create_key(site, {"name": name}), not_registered(site)
        )
    )
    typer.echo(f"Send it with the events of {site}: Authorization: Bearer hrk_…")
    typer.echo("It works within 5 s. This key is not shown again:")
    typer.echo(made["key"])


@keys.command("list")
def list_keys(site: _SiteOption, data_dir: DataDirOption = DEFAULT) -> None:
    """List the keys of a site."""
    from rich.table import Table

    from headrace.ops.services import use_sites
    from headrace.ops.sites import not_registered
    from headrace.terminal.tables import table_console, visible

    found = asyncio.run(use_sites(data_dir, lambda one: one.get(site), not_registered(site)))
    if not found["keys"]:
        typer.echo(f"{site} has no keys. Create one with `headrace keys create --site {site}`.")
        return
    table = Table("key id", "name", "created")
    for key in found["keys"]:
        created = key["created_at"][:16].replace("T", " ")
        table.add_row(key["key_id"], visible(key["name"]), created)
    table_console().print(table)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[UUID, typer.Argument(help="Id in `headrace keys list`.")],
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Revoke a site key. Events with it are rejected within 5 s."""
    from headrace.errors import UserError
    from headrace.ops.services import use_sites

    missing = f"There is no key {key_id}"

    async def revoke(service: "SiteService") -> str:
        for site in await service.list():
            if any(key["key_id"] == str(key_id) for key in site["keys"]):
                await service.revoke_key(site["site_id"], str(key_id))
                return str(site["site_id"])
        raise UserError(missing)

    site = asyncio.run(use_sites(data_dir, revoke, missing))
    typer.echo(f"{key_id} of {site} is revoked.")
