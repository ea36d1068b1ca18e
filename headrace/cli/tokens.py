"""`headrace tokens`: manage access tokens."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

tokens = typer.Typer(help="Create, list and revoke access tokens.", no_args_is_help=True)


@tokens.command("create")
def create_token(
    site: Annotated[
        list[str] | None,
        typer.Option(metavar="S", help="Grant access to this site; may be repeated."),
    ] = None,
    all_sites: Annotated[bool, typer.Option("--all", help="Grant access to all sites.")] = False,
    manage: Annotated[
        bool,
        typer.Option("--manage", help="Also allow changes: sites, subscriptions, imports."),
    ] = False,
    name: Annotated[str, typer.Option(help="A name to show in `headrace tokens list`.")] = "",
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Create a token and print it on the last line. It cannot be shown again."""
    from query_api import tokens as store
    from schemas.settings import SITE_ID

    if bool(site) == all_sites:
        raise typer.BadParameter("Give either --site, which may be repeated, or --all")
    for site_id in site or []:
        if not SITE_ID.fullmatch(site_id):
            raise typer.BadParameter(
                f"{site_id!r} is not a site_id, which has 1 to 64 characters from A-Z a-z 0-9 . _ -"
            )
    scope: store.Scope = "manage" if manage else "read"
    token = _run_transaction(
        data_dir, lambda connection: store.create(connection, name, site or None, scope)
    )
    actions = "Reads and manages" if manage else "Reads"
    sites = ", ".join(site) if site else "all sites"
    typer.echo(f"{actions} {sites}. This token is not shown again:")
    typer.echo(token)


@tokens.command("list")
def list_tokens(
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="The maximum number of tokens.")
    ] = 1_000,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """List the newest tokens, including revoked ones."""
    from rich.table import Table

    from headrace.terminal.tables import table_console, visible
    from query_api import tokens as store

    found = _run_transaction(data_dir, lambda connection: store.list_tokens(connection, limit + 1))
    if not found:
        typer.echo("There are no tokens. Create one with `headrace tokens create`.")
        return
    if len(found) > limit:
        del found[0]
        typer.echo(f"Only the newest {limit:,} are shown; --limit shows more.")
    working = sum(token.revoked_at is None for token in found)
    typer.echo(f"{counted(working, 'token')} in use, {len(found) - working:,} revoked.")
    table = Table("token id", "name", "sites", "scope", "created", "revoked")
    for token in found:
        sites = "all" if token.grant.sites is None else ", ".join(sorted(token.grant.sites))
        revoked = f"{token.revoked_at:%Y-%m-%d %H:%M}" if token.revoked_at else ""
        created = f"{token.created_at:%Y-%m-%d %H:%M}"
        scope = token.grant.scope
        table.add_row(token.token_id, visible(token.name), sites, scope, created, revoked)
    table_console().print(table)


@tokens.command("revoke")
def revoke_token(
    token_id: Annotated[UUID, typer.Argument(help="The id shown by `headrace tokens list`.")],
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Revoke a token. It is rejected within seconds."""
    from headrace.errors import UserError
    from query_api import tokens as store

    if not _run_transaction(data_dir, lambda connection: store.revoke(connection, str(token_id))):
        raise UserError(f"There is no valid token {token_id}")
    typer.echo(f"{token_id} is revoked.")


def _run_transaction(data_dir: Path, work: "Callable[[Connection], T]") -> T:
    from headrace.admin.database import run_once
    from headrace.local.data_dir import database_settings

    return asyncio.run(run_once(database_settings(data_dir), work))
