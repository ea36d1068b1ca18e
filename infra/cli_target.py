"""Which headrace `replay` and `demo` send events to: `--to`, `--data-dir`, or the one here."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli_data_dir import default_data_dir

ToOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Of a headrace (default: the one on this machine)."),
]


def base_url(to: str | None, data_dir: Path | None) -> str:
    """Return the address of a headrace: as given, else of the one that runs in a data directory.

    Where none was given and none runs in the default one, it is where the settings say.
    """
    from infra.data_dir import DataDir, read_settings
    from infra.errors import UsageError, UserError
    from infra.local import address_of

    if to is not None and data_dir is not None:
        raise UsageError("--to and --data-dir both say where to send events: give one")
    if to is not None:
        return _checked(to)
    found = DataDir(data_dir or default_data_dir()).address()
    if found is None and data_dir is not None:
        raise UserError(
            f"No headrace runs in {data_dir.absolute()}. Start it with "
            f"`headrace up --data-dir {data_dir}`, or name another with --to"
        )
    return found or address_of(read_settings().api)


def checked_site(site_id: str | None) -> str | None:
    """Return a site's id, or end with what is wrong with it."""
    from schemas.settings import SITE_ID

    if site_id is not None and not SITE_ID.fullmatch(site_id):
        raise typer.BadParameter(
            "a site is 1 to 64 characters out of A-Z a-z 0-9 . _ -", param_hint="--site-id"
        )
    return site_id


def _checked(to: str) -> str:
    from infra.replay.endpoint import endpoint

    try:
        endpoint(to)
    except ValueError as error:
        raise typer.BadParameter(f"{_hidden(to)}: {error}", param_hint="--to") from None
    return to


def _hidden(to: str) -> str:
    """Return what of an address that is none can be shown: nothing where a password may be."""
    return "the address" if "@" in to else repr(to)
