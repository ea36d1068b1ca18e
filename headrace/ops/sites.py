"""Texts about registered sites, for the commands `sites` and `keys`."""

from pathlib import Path

from headrace.local.data_dir import DataDir
from headrace.local.options import address_of
from schemas.settings import Settings


def not_registered(site_id: str) -> str:
    """Return the error for a site that is not registered."""
    return f"The site {site_id} is not registered; `headrace sites add {site_id}` registers it"


def public_address(data_dir: Path, settings: Settings) -> str:
    """Return the base URL to send events to: the public one, else that of this machine."""
    running = DataDir(data_dir).address()
    return settings.query.public_url or running or address_of(settings.api)
