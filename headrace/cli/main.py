"""The `headrace` command."""

import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from headrace.cli import admin, roles
from headrace.cli.adopt_cluster import adopt_cluster
from headrace.cli.alerts import alerts
from headrace.cli.audit import audit, rebuild
from headrace.cli.backup import backup, restore
from headrace.cli.blocks import blocks
from headrace.cli.demo import demo
from headrace.cli.dlq import dlq
from headrace.cli.erase import erase
from headrace.cli.kafka import kafka
from headrace.cli.keys import keys
from headrace.cli.repartition import repartition
from headrace.cli.replay import replay
from headrace.cli.schemas import schemas
from headrace.cli.sites import sites
from headrace.cli.status import status
from headrace.cli.tokens import tokens
from headrace.cli.up import up
from headrace.errors import UserError
from headrace.local.data_dir_option import read_env_file
from headrace.local.disk_space import explain, is_full
from headrace.local.permissions import UMASK

app = typer.Typer(
    name="headrace",
    help="Collect events over HTTP, process them in Kafka, and store sessions and alerts in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    up,
    roles.api,
    roles.streams,
    roles.live,
    roles.sinks,
    roles.query,
    kafka,
    replay,
    demo,
    status,
    audit,
    erase,
    repartition,
    backup,
    restore,
):
    app.command()(command)
app.command("adopt-cluster")(adopt_cluster)
app.add_typer(admin.topics, name="topics")
app.add_typer(schemas, name="schemas")
app.add_typer(admin.db, name="db")
app.add_typer(dlq, name="dlq")
app.add_typer(sites, name="sites")
app.add_typer(keys, name="keys")
app.add_typer(tokens, name="tokens")
app.add_typer(alerts, name="alerts")
app.add_typer(blocks, name="blocks")
app.add_typer(rebuild, name="rebuild")
app.command(hidden=True)(roles.web)


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
    # Their log messages would duplicate our error messages and progress displays.
    for library in ("aiokafka", "stamina"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    os.umask(UMASK)
    # Not every locale has the characters that commands print.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    read_env_file()
    try:
        app()
    except UserError as error:
        _fail(str(error), error.exit_code)
    except Exception as error:
        if message := _message(error):
            _fail(message, 2 if isinstance(error, UnicodeEncodeError) else 1)
        if not _log_failure(f"{type(error).__name__}: {error}", error):
            raise
        sys.exit(1)


def _message(error: Exception) -> str:
    """Return the message for an error of the system or the arguments; empty for any other one."""
    if isinstance(error, UnicodeEncodeError) and not all(map(_is_utf8, sys.argv)):
        return "An argument is not UTF-8 text"
    if not isinstance(error, OSError):
        return ""
    location = f" at {error.filename}" if error.filename else ""
    if is_full(error):
        return f"disk full{location}: free some space, then run this command again"
    if not location:
        return ""
    if isinstance(error, PermissionError):
        return f"{error.filename} cannot be accessed: {error.strerror}{_owner(error.filename)}"
    return explain(error, Path(error.filename))


def _owner(path: str) -> str:
    """Return who owns a file, or the directory that hides it, as a part of a sentence."""
    absolute = Path(path).absolute()
    for one in (absolute, *absolute.parents):
        with suppress(OSError, KeyError):  # not accessible; a user without a name
            return f". {one} belongs to the user {one.owner()}"
    return ""


def _is_utf8(argument: str) -> bool:
    """Return False if an argument has bytes that are not UTF-8, which Python escapes."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fail(message: str, code: int) -> NoReturn:
    if _log_failure(message):
        sys.exit(code)
    with suppress(OSError):  # standard error may be a file on a full disk
        Console(stderr=True, soft_wrap=True).print(Text(message, style="red"))
    sys.exit(code)


def _log_failure(message: str, error: Exception | None = None) -> bool:
    """Log a failure and return True, if this is a role whose log is in JSON."""
    if not logging.getLogger().handlers:
        return False
    from headrace.roles.logs import log_failure

    return log_failure(message, error)
