"""The `headrace` command."""

import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from infra import cli_admin, cli_roles
from infra.cli_adopt import adopt_cluster
from infra.cli_audit import audit, rebuild
from infra.cli_data_dir import read_env_file
from infra.cli_demo import demo
from infra.cli_dlq import dlq
from infra.cli_kafka import kafka
from infra.cli_replay import replay
from infra.cli_status import status
from infra.cli_tokens import tokens
from infra.cli_up import up
from infra.disk import explain, is_full
from infra.errors import UserError
from infra.private import UMASK

app = typer.Typer(
    name="headrace",
    help="Collect events over HTTP, process them in Kafka, and store sessions and alerts in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    up,
    cli_roles.api,
    cli_roles.streams,
    cli_roles.live,
    cli_roles.sinks,
    cli_roles.query,
    kafka,
    replay,
    demo,
    status,
    audit,
):
    app.command()(command)
app.command("adopt-cluster")(adopt_cluster)
app.add_typer(cli_admin.topics, name="topics")
app.add_typer(cli_admin.db, name="db")
app.add_typer(dlq, name="dlq")
app.add_typer(tokens, name="tokens")
app.add_typer(rebuild, name="rebuild")
app.command(hidden=True)(cli_roles.web)


def _show_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Handle the options before the command."""


def main() -> None:
    """Run the command line; print errors that the user can fix in red, without a traceback."""
    # Its log messages would duplicate our error messages.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    os.umask(UMASK)
    read_env_file()
    try:
        app()
    except UserError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        _fail(_message(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code that shells use for SIGINT


def _message(error: OSError) -> str:
    """Return the message for an error that names a file; raises all others."""
    location = f" at {error.filename}" if error.filename else ""
    if is_full(error):
        return f"disk full{location}: free some space, then run this command again"
    if not location:
        raise error
    return explain(error, Path(error.filename))


def _fail(message: str, code: int) -> NoReturn:
    with suppress(OSError):  # standard error may be a file on a full disk
        Console(stderr=True, soft_wrap=True).print(Text(message, style="red"))
    sys.exit(code)
