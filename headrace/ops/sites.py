"""Registered sites, for the commands `sites` and `keys`."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from headrace.admin.database import check_exists
from headrace.errors import UserError
from headrace.local.data_dir import DataDir, local_settings
from headrace.local.options import address_of
from schemas.settings import Settings
from sinks.delivery.publisher import Unavailable
from sinks.delivery.service import NotFound
from sinks.delivery.subscription_spec import Invalid
from sinks.sites.service import SiteService, open_all

T = TypeVar("T")


async def use_sites(
    data_dir: Path, work: Callable[[SiteService], Awaitable[T]], missing: str = ""
) -> T:
    """Return the result of `work`; its errors are raised as UserError.

    `missing` is the message if a site or key does not exist.
    """
    settings = local_settings(data_dir)
    check_exists(settings.database)
    try:
        async with open_all(settings) as service:
            return await work(service)
    except NotFound:
        raise UserError(missing) from None
    except (Invalid, Unavailable) as error:
        raise UserError(str(error)) from error


def not_registered(site_id: str) -> str:
    """Return the error for a site that is not registered."""
    return f"The site {site_id} is not registered; `headrace sites add {site_id}` registers it"


def public_address(data_dir: Path, settings: Settings) -> str:
    """Return the base URL to send events to: the public one, else that of this machine."""
    running = DataDir(data_dir).address()
    return settings.query.public_url or running or address_of(settings.api)
