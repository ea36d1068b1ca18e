"""The server that `replay` and `demo` send events to."""

from pathlib import Path
from typing import Annotated

import typer

from headrace.local.data_dir_option import default_data_dir

ToOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Base URL of the server (default: the one on this machine)."),
]


def base_url(to: str | None, data_dir: Path | None) -> str:
    """Return the base URL of the server to send events to.

    This is `to`, or the address of the server that runs in `data_dir`. If both are None: the
    address of the server that runs in the default data directory, or else that of the settings.
    """
    from headrace.errors import UsageError, UserError
    from headrace.local.data_dir import DataDir, read_settings
    from headrace.local.options import address_of

    if to is not None and data_dir is not None:
        raise UsageError("--to and --data-dir both select a server: use only one of them")
    if to is not None:
        return _checked(to)
    address = DataDir(data_dir or default_data_dir()).address()
    if address is None and data_dir is not None:
        raise UserError(
            f"headrace is not running in {data_dir.absolute()}. Start it with "
            f"`headrace up --data-dir {data_dir}`, or specify another server with --to"
        )
    return address or address_of(read_settings().api)


def checked_site(site_id: str | None, option: str = "--site-id") -> str | None:
    """Return the value of an option. Raises typer.BadParameter if it is not a valid site_id."""
    from schemas.settings import SITE_ID

    if site_id is not None and not SITE_ID.fullmatch(site_id):
        raise typer.BadParameter(
            "a site_id is 1 to 64 characters from A-Z a-z 0-9 . _ -", param_hint=option
        )
    return site_id


def _checked(to: str) -> str:
    from headrace.traffic.replay.endpoint import endpoint

    try:
        endpoint(to)
    except ValueError as error:
        raise typer.BadParameter(f"{_redacted(to)}: {error}", param_hint="--to") from None
    return to


def _redacted(to: str) -> str:
    """Return an invalid address for an error message, unless it may contain a password."""
    return "the address" if "@" in to else repr(to)
