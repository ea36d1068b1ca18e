"""The services of sites and subscriptions, for commands: their errors are raised as UserError."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from headrace.admin.database import check_exists, run_once
from headrace.admin.topics import check_reachable
from headrace.errors import UserError
from headrace.local.data_dir import local_settings
from schemas.settings import Settings
from sinks.delivery.publisher import Unavailable
from sinks.delivery.service import NotFound, Subscriptions, open_subscriptions
from sinks.delivery.subscription_spec import Invalid
from sinks.sites.service import SiteService, open_all
from sinks.sql.errors import ReadTimeout
from sinks.sql.tables import SiteRow, table_of

S = TypeVar("S")
T = TypeVar("T")


async def use_sites(
    data_dir: Path, work: Callable[[SiteService], Awaitable[T]], missing: str = ""
) -> T:
    """Return the result of `work`. `missing` is the message if a site or key does not exist."""
    return await _use(data_dir, open_all, work, missing)


async def use_subscriptions(
    data_dir: Path, work: Callable[[Subscriptions], Awaitable[T]], missing: str = ""
) -> T:
    """Return the result of `work`. `missing` is the message if a subscription does not exist."""
    return await _use(data_dir, open_subscriptions, work, missing)


async def _use(
    data_dir: Path,
    open_service: Callable[[Settings], AbstractAsyncContextManager[S]],
    work: Callable[[S], Awaitable[T]],
    missing: str,
) -> T:
    settings = local_settings(data_dir)
    check_exists(settings.database)
    try:
        async with open_service(settings) as service:
            return await work(service)
    except NotFound:
        raise UserError(missing) from None
    except Invalid as error:
        raise UserError(str(error)) from error
    except ReadTimeout as error:
        raise UserError("The database did not answer in time; try again") from error
    except Unavailable as error:
        await _explain(settings)
        raise UserError(str(error)) from error


async def _explain(settings: Settings) -> None:
    """Raise UserError, in the words of all commands, if the database or Kafka cannot be used."""
    sites = select(table_of(SiteRow)).limit(1)
    await run_once(settings.database, lambda connection: connection.execute(sites).first())
    await check_reachable(settings.kafka)
