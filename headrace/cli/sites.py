"""`headrace sites`: manage registered sites."""

import asyncio
import json
from typing import Annotated, Any

import typer

from headrace.local.data_dir_option import DEFAULT, DataDirOption
from schemas.plurals import counted

sites = typer.Typer(
    help="Register sites, and configure who may send their events.", no_args_is_help=True
)

_Site = Annotated[str, typer.Argument(metavar="SITE", help="The site_id of its events.")]
_Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="ORIGIN",
        help="An origin whose pages may send events: https://shop.example, or *.shop.example for "
        "subdomains; may be repeated. (default at registration: all origins)",
    ),
]
_RequireKey = Annotated[
    list[str] | None,
    typer.Option(
        "--require-key",
        metavar="TYPE",
        help="An event type that needs a site key; may be repeated, `none` for no type. "
        "(default: payment, if the site has keys)",
    ),
]
_EventsPerSecond = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Limit of accepted events per second; 0 for none."),
]
_CountBots = Annotated[
    bool | None, typer.Option("--count-bots/--exclude-bots", help="Count events of bots.")
]
_VisitorIds = Annotated[
    bool | None,
    typer.Option(
        "--visitor-ids/--no-visitor-ids", help="Derive a visitor_id for events without one."
    ),
]
_OptOut = Annotated[
    bool | None,
    typer.Option("--honour-opt-out/--ignore-opt-out", help="Honour Sec-GPC and DNT."),
]


@sites.command("add")
def add_site(
    site: _Site,
    origin: _Origins = None,
    require_key: _RequireKey = None,
    events_per_second: _EventsPerSecond = None,
    count_bots: _CountBots = None,
    visitor_ids: _VisitorIds = None,
    opt_out: _OptOut = None,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Register a site, and print what to put into its pages."""
    from headrace.local.data_dir import read_settings
    from headrace.ops.services import use_sites
    from headrace.ops.sites import public_address
    from producer_api.tracker.scripts import load

    rules = _rules(origin, require_key, events_per_second, count_bots, visitor_ids, opt_out)
    asyncio.run(use_sites(data_dir, lambda service: service.add({"site_id": site, **rules})))
    url = public_address(data_dir, read_settings())
    event = {"type": "pageview", "site_id": site, "session_id": "s1", "path": "/hello"}
    typer.echo(f"{site} is registered; its events are accepted within 5 s.\n")
    typer.echo("The tag for its pages; script.full.js also reports errors and web vitals:\n")
    typer.echo(f"  {load().tag(url, site)}\n")
    typer.echo("Or, for this version only, verified by the browser:\n")
    typer.echo(f"  {load().pinned_tag(url, site)}\n")
    typer.echo("An event from the command line:\n")
    header = "-H 'Content-Type: application/json'"
    typer.echo(f"  curl {url}/api/event {header} \\\n    -d '{json.dumps(event)}'")


@sites.command("list")
def list_sites(data_dir: DataDirOption = DEFAULT) -> None:
    """List registered sites."""
    from rich.table import Table

    from headrace.ops.services import use_sites
    from headrace.terminal.tables import table_console

    found = asyncio.run(use_sites(data_dir, lambda service: service.list()))
    if not found:
        typer.echo("No site is registered. Register one with `headrace sites add`.")
        return
    table = Table("site", "origins", "needs a key", "events/s", "keys", "registered")
    for site in found:
        table.add_row(
            site["site_id"],
            ", ".join(site["origins"]) or "all",
            _required_types(site),
            str(site["events_per_second"] or ""),
            str(len(site["keys"])),
            site["created_at"][:10],
        )
    table_console().print(table)


@sites.command("show")
def show_site(site: _Site, data_dir: DataDirOption = DEFAULT) -> None:
    """Show the rules of a site, and the tags for its pages."""
    from headrace.local.data_dir import read_settings
    from headrace.ops.services import use_sites
    from headrace.ops.sites import not_registered, public_address
    from producer_api.tracker.scripts import NAMES, load

    found = asyncio.run(use_sites(data_dir, lambda one: one.get(site), not_registered(site)))
    limit = found["events_per_second"]
    lines = {
        "origins": ", ".join(found["origins"]) or "all",
        "needs a key": _required_types(found) or "no type",
        "limit": f"{limit:,} events/s" if limit else "none",
        "bots": "counted" if found["counts_bots"] else "excluded",
        "visitor ids": "derived" if found["derives_visitors"] else "as sent",
        "Sec-GPC, DNT": "honoured" if found["honours_opt_out"] else "ignored",
        "keys": str(len(found["keys"])),
        "registered": found["created_at"][:19],
        "changed": found["updated_at"][:19],
    }
    typer.echo(site)
    for name, value in lines.items():
        typer.echo(f"  {name:<14}{value}")
    url = public_address(data_dir, read_settings())
    for script in map(load, NAMES):
        typer.echo(f"\n  {script.path[1:]}, the current version and this one only:\n")
        typer.echo(f"  {script.tag(url, site)}\n  {script.pinned_tag(url, site)}")


@sites.command("update")
def update_site(
    site: _Site,
    origin: _Origins = None,
    all_origins: Annotated[
        bool, typer.Option("--all-origins", help="Pages of all origins may send events.")
    ] = False,
    require_key: _RequireKey = None,
    events_per_second: _EventsPerSecond = None,
    count_bots: _CountBots = None,
    visitor_ids: _VisitorIds = None,
    opt_out: _OptOut = None,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Change the rules of a site. A list that is given replaces the existing one."""
    from headrace.errors import UsageError
    from headrace.ops.services import use_sites
    from headrace.ops.sites import not_registered

    if all_origins and origin:
        raise UsageError("Give either --origin or --all-origins")
    rules = _rules(origin, require_key, events_per_second, count_bots, visitor_ids, opt_out)
    if all_origins:
        rules["origins"] = []
    if not rules:
        raise UsageError("Nothing to change: give at least one option")
    missing = not_registered(site)
    asyncio.run(use_sites(data_dir, lambda service: service.update(site, rules), missing))
    typer.echo(f"The rules of {site} are changed, with effect within 5 s.")


@sites.command("remove")
def remove_site(
    site: _Site,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Delete a site with its keys, tokens, subscriptions and all of its data.

    headrace must be running. Safe to repeat.
    """
    from rich.console import Console

    from headrace.cli.target import checked_site
    from headrace.local.data_dir import local_settings
    from headrace.ops.erase import receipt
    from headrace.ops.erase.run import erase
    from headrace.ops.erase.selection import Selection
    from headrace.ops.services import use_sites
    from headrace.terminal.confirmation import confirm

    checked_site(site, "SITE")
    if not yes:
        confirm(f"Delete the site {site} with all of its data?", "Nothing was deleted")
    removed = asyncio.run(use_sites(data_dir, lambda service: service.remove(site)))
    keys, tokens = counted(removed.keys, "key"), counted(removed.tokens, "token")
    subscriptions = counted(removed.subscriptions, "subscription")
    typer.echo(f"{site} is removed, with {keys}, {tokens} and {subscriptions}.")
    with Console(stderr=True).status("") as status:
        erased = asyncio.run(erase(local_settings(data_dir), Selection(site), status.update))
    for line in receipt.lines(erased):
        typer.echo(line)


def _rules(
    origins: list[str] | None,
    require_key: list[str] | None,
    events_per_second: int | None,
    count_bots: bool | None,
    visitor_ids: bool | None,
    opt_out: bool | None,
) -> dict[str, Any]:
    """Return the rules that the options set, as a request body."""
    rules = {
        "origins": origins,
        "require_key": [] if require_key == ["none"] else require_key,
        "counts_bots": count_bots,
        "derives_visitors": visitor_ids,
        "honours_opt_out": opt_out,
    }
    given: dict[str, Any] = {name: value for name, value in rules.items() if value is not None}
    if events_per_second is not None:
        given["events_per_second"] = events_per_second or None
    return given


def _required_types(site: dict[str, Any]) -> str:
    default = ["payment"] if site["keys"] else []
    return ", ".join(default if site["require_key"] is None else site["require_key"])
