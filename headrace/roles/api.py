"""The role `api`, with the topics that it holds in memory as global tables."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from headrace.roles.heartbeat import Report
from headrace.roles.tracing import open_tracer
from producer_api.http.app import Api
from producer_api.http.create_app import create_app
from schemas.settings import Settings
from schemas.topics import BLOCKED_IDS, IMPORT_WINDOWS, SALTS, SITES
from streams.engine.global_table import GlobalTable


def create_api(
    settings: Settings,
    *,
    registry: CollectorRegistry,
    ready_checks: Sequence[Callable[[], str | None]] = (),
) -> Api:
    """Create the role. The parameters are those of `create_app`."""
    api = create_app(settings, ready_checks=ready_checks, registry=registry)
    api.add_background_task(
        GlobalTable(settings.kafka, IMPORT_WINDOWS.name, None, api.import_sites.apply).run
    )
    api.sites.is_loaded = False
    sites = GlobalTable(settings.kafka, SITES.name, None, api.sites.apply)
    blocked = GlobalTable(settings.kafka, BLOCKED_IDS.name, None, api.blocked_ids.apply)

    async def finish_loading() -> None:
        await sites.complete()
        await blocked.complete()
        api.sites.is_loaded = True

    api.add_background_task(sites.run)
    api.add_background_task(blocked.run)
    api.add_background_task(finish_loading)
    salts = GlobalTable(settings.kafka, SALTS.name, None, api.salts.apply)
    api.add_background_task(salts.run)
    api.keep_salts(salts.complete)
    if (tracer := open_tracer(settings.tracing, "api")) is not None:
        api.intake.trace(tracer)
    return api


def report_api(api: Api) -> Report:
    """Return what a heartbeat of the role reports."""
    counters = {"events_accepted": api.metrics.counters.accepted}
    return Report(api.problem, counters, api.metrics.rejections.by_site())
