"""Show the status once, or update it until Ctrl-C."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from headrace.ops.status import table
from headrace.ops.status.model import Status
from headrace.terminal.tables import table_console


def show(collect: Callable[[], Status], *, as_json: bool) -> Status:
    """Print the status, and return it."""
    with Console(stderr=True).status("Measuring rates, a few seconds …"):
        status = collect()
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(status)).decode())
    else:
        console = table_console()
        for part in table.render_status(status, datetime.now(UTC)):
            console.print(part, soft_wrap=isinstance(part, Text))
    return status


@contextmanager
def watching(*, as_json: bool) -> Iterator[Callable[[Status], None]]:
    """Yield a function that replaces the shown status, or prints a JSON object in one line."""
    if as_json:
        yield lambda status: typer.echo(msgspec.json.encode(status).decode())
        return
    with Live(
        Text("Measuring rates, a few seconds …"),
        console=table_console(),
        auto_refresh=False,
        vertical_overflow="visible",
    ) as live:

        def update(status: Status) -> None:
            now = datetime.now(UTC)
            parts = Group(Text(f"{now:%H:%M:%S} UTC"), *table.render_status(status, now))
            live.update(parts, refresh=True)

        yield update
