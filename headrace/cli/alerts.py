"""`headrace alerts`: manage alert subscriptions."""

import asyncio
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from headrace.cli.target import checked_site
from headrace.local.data_dir_option import DEFAULT, DataDirOption

alerts = typer.Typer(
    help="Add, test, pause and remove subscriptions, which send alerts to a webhook.",
    no_args_is_help=True,
)

_Id = Annotated[UUID, typer.Argument(metavar="ID", help="The id shown by `headrace alerts list`.")]


@alerts.command("add")
def add_subscription(
    site: Annotated[str, typer.Option("--site", metavar="S", help="The site.")],
    rule: Annotated[
        str,
        typer.Option(
            metavar="RULE", help="The rule, such as payment; docs/subscriptions.md lists all."
        ),
    ],
    url: Annotated[str, typer.Option(metavar="URL", help="The webhook: https, and public.")],
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A parameter of the rule, such as min_amount=100; may be repeated.",
        ),
    ] = None,
    cooldown: Annotated[
        int,
        typer.Option(metavar="SECONDS", help="At most one message per subject in this time."),
    ] = 0,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """Add a subscription, and print its secret on the last line. It cannot be shown again."""
    from headrace.ops.services import use_subscriptions

    body = {
        "site_id": site,
        "rule": rule,
        "params": _params(param or []),
        "channel": {"type": "webhook", "url": url},
        "cooldown_seconds": cooldown,
    }
    made = asyncio.run(use_subscriptions(data_dir, lambda service: service.create(body)))
    subscription_id = made["subscription_id"]
    typer.echo(f"{subscription_id} sends {rule} alerts of {site}, within 5 s.")
    typer.echo(f"Send it a test message: headrace alerts test {subscription_id}")
    typer.echo("Its messages are signed with this secret, which is not shown again:")
    typer.echo(made["secret"])


@alerts.command("list")
def list_subscriptions(
    site: Annotated[
        str | None, typer.Option("--site", metavar="S", help="Only those of this site.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="The maximum number of subscriptions.")
    ] = 1_000,
    data_dir: DataDirOption = DEFAULT,
) -> None:
    """List the newest subscriptions."""
    from rich.table import Table

    from headrace.ops.services import use_subscriptions
    from headrace.terminal.tables import table_console, visible
    from sinks.paging import Slice

    checked_site(site, "--site")
    sites = None if site is None else [site]
    page = asyncio.run(use_subscriptions(data_dir, lambda one: one.list(sites, Slice(limit))))
    if not page.items:
        typer.echo("There are no subscriptions. Add one with `headrace alerts add`.")
        return
    if page.next_cursor:
        typer.echo(f"Only the newest {limit:,} are shown; --limit shows more.")
    table = Table("subscription id", "site", "rule", "parameters", "webhook", "cooldown", "state")
    for one in page.items:
        parameters = ", ".join(f"{name}={value}" for name, value in one["params"].items())
        cooldown = f"{one['cooldown_seconds']:,} s" if one["cooldown_seconds"] else ""
        url = visible(one["channel"]["url"])
        state = "enabled" if one["enabled"] else one["disabled_reason"] or "paused"
        table.add_row(
            one["subscription_id"], one["site_id"], one["rule"], parameters, url, cooldown, state
        )
    table_console().print(table)


@alerts.command("test")
def send_test_message(subscription_id: _Id, data_dir: DataDirOption = DEFAULT) -> None:
    """Send a test message, and say whether the receiver accepted it."""
    from rich.console import Console

    from headrace.ops.services import use_subscriptions
    from headrace.ops.subscriptions import send_test

    name = str(subscription_id)
    with Console(stderr=True).status("waiting for the response of the receiver"):
        attempt = asyncio.run(
            use_subscriptions(data_dir, lambda service: send_test(service, name), _missing(name))
        )
    typer.echo(f"Delivered: {attempt['status']} in {attempt['duration_ms']:,} ms.")


@alerts.command("pause")
def pause_subscription(subscription_id: _Id, data_dir: DataDirOption = DEFAULT) -> None:
    """Stop sending messages, including pending ones, until `headrace alerts resume`."""
    _change(data_dir, subscription_id, {"enabled": False})
    typer.echo(f"{subscription_id} is paused.")


@alerts.command("resume")
def resume_subscription(subscription_id: _Id, data_dir: DataDirOption = DEFAULT) -> None:
    """Send messages again, for alerts from now on."""
    _change(data_dir, subscription_id, {"enabled": True})
    typer.echo(f"{subscription_id} is enabled; it takes effect within 5 s.")


@alerts.command("remove")
def remove_subscription(subscription_id: _Id, data_dir: DataDirOption = DEFAULT) -> None:
    """Delete a subscription, and cancel its pending messages."""
    from headrace.ops.services import use_subscriptions

    name = str(subscription_id)
    asyncio.run(use_subscriptions(data_dir, lambda service: service.delete(name), _missing(name)))
    typer.echo(f"{name} is removed.")


def _change(data_dir: Path, subscription_id: UUID, body: dict[str, Any]) -> None:
    from headrace.ops.services import use_subscriptions

    name = str(subscription_id)
    asyncio.run(
        use_subscriptions(data_dir, lambda service: service.patch(name, body), _missing(name))
    )


def _missing(subscription_id: str) -> str:
    return f"There is no subscription {subscription_id}; `headrace alerts list` lists them"


def _params(given: list[str]) -> dict[str, Any]:
    """Return the parameters of `NAME=VALUE`; a value that is not JSON is a string."""
    import msgspec

    params: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
        try:
            params[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            params[name] = value
    return params
