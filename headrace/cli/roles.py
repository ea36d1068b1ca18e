"""`headrace api`, `query`, `streams`, `live`, `sinks`: run one role in the foreground."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headrace.roles.web import Web
    from producer_api.http.app import Api
    from query_api.app import Query
    from schemas.settings import Settings

_StatusFile = Annotated[Path | None, typer.Option(hidden=True)]


def api() -> None:
    """Accept events over HTTP and write them to Kafka."""
    from prometheus_client import REGISTRY

    from headrace.local.data_dir import role_settings
    from headrace.roles.api import create_api, report_api
    from headrace.roles.heartbeat import send_heartbeats
    from headrace.roles.logs import configure_logging
    from headrace.roles.metrics import ReadyMetrics

    settings = role_settings()
    configure_logging(settings.log, "api")
    app = create_api(settings, registry=REGISTRY)
    REGISTRY.register(ReadyMetrics("api", app.operations.checks))
    read = partial(report_api, app)
    app.add_background_task(partial(send_heartbeats, settings.kafka, "api", read))
    _serve(app, settings)


def query() -> None:
    """Serve the dashboard, live counters, alerts, sessions and pages over HTTP."""
    from prometheus_client import REGISTRY

    from headrace.local.data_dir import role_settings
    from headrace.roles.heartbeat import Report, send_heartbeats
    from headrace.roles.logs import configure_logging
    from headrace.roles.metrics import ReadyMetrics
    from headrace.roles.query import create_query

    settings = role_settings()
    configure_logging(settings.log, "query")
    app = create_query(settings, registry=REGISTRY)
    REGISTRY.register(ReadyMetrics("query", app.operations.checks))
    read = lambda: Report(app.problem)  # noqa: E731
    app.add_background_task(partial(send_heartbeats, settings.kafka, "query", read))
    _serve(app, settings)


def web(
    status_dir: Annotated[Path, typer.Option()],
    name: Annotated[str, typer.Option()],
    worker: Annotated[list[str], typer.Option()],
    peer: Annotated[list[str], typer.Option()],
) -> None:
    """Run `api` and `query` in one process, for `headrace up`.

    `status_dir` has the status files of the workers of the other roles, whose names are `worker`.
    `peer` are the names of all web processes that share the port, `name` that of this process.
    """
    from prometheus_client import REGISTRY, CollectorRegistry

    from headrace.local.data_dir import role_settings
    from headrace.local.disk_space import DiskSpace
    from headrace.roles.heartbeat import send_heartbeats
    from headrace.roles.logs import configure_logging
    from headrace.roles.metrics import RoleMetrics
    from headrace.roles.status import why_not_ready
    from headrace.roles.web import create_web
    from headrace.roles.web_workers import WorkerMetrics, keep_metrics, report_status

    settings = role_settings()
    configure_logging(settings.log, "web")
    status_files = [status_dir / f"{one}.json" for one in worker]
    checks = [lambda path=path: why_not_ready(path) for path in status_files]
    # On a full disk, Kafka exits and roles cannot update their status files.
    disk = DiskSpace(status_dir.parent)
    app = create_web(settings, ready_checks=checks, first_checks=[disk.problem], registry=REGISTRY)
    status_file = status_dir / f"{name}.json"
    app.add_background_task(partial(report_status, status_file, app.operations.problem))
    app.add_background_task(partial(send_heartbeats, settings.kafka, "web", app.report))
    if len(peer) == 1:
        REGISTRY.register(RoleMetrics(status_files))
    else:
        others = [status_dir / f"{one}.prom" for one in peer if one != name]
        app.operations.registry = CollectorRegistry()
        app.operations.registry.register(WorkerMetrics(name, REGISTRY, others))
        app.operations.registry.register(RoleMetrics(status_files))
        app.add_background_task(partial(keep_metrics, REGISTRY, status_file))
    _serve(app, settings, shares_port=len(peer) > 1)


def streams(status_file: _StatusFile = None) -> None:
    """Route events; aggregate sessions, page durations and alerts."""
    from headrace.local.data_dir import role_settings
    from headrace.roles.run import run_role
    from streams.app import run

    run_role("streams", run, role_settings(), status_file)


def live(status_file: _StatusFile = None) -> None:
    """Maintain the live counters, for the dashboard and the API."""
    from headrace.local.data_dir import role_settings
    from headrace.roles.run import run_role
    from streams.live_app import run

    run_role("live", run, role_settings(), status_file)


def sinks(
    status_file: _StatusFile = None,
    upgrade_database: Annotated[bool, typer.Option("--upgrade-database", hidden=True)] = False,
    owner_token: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Write events, sessions, page durations and alerts to SQL."""
    from headrace.admin import database
    from headrace.errors import UserError
    from headrace.local.data_dir import role_settings
    from headrace.roles import owner_token as owner
    from headrace.roles.run import run_role
    from sinks.app import run
    from sinks.sql.errors import (
        DRIVER_ERRORS,
        ClusterMismatch,
        InsufficientPrivilege,
        LogTruncated,
        SchemaMissing,
        driver_message,
    )

    settings = role_settings()
    if upgrade_database:
        database.upgrade_database(settings.database)
    if owner_token:
        owner.ensure_owner_token(owner_token, settings.database)
    try:
        run_role("sinks", run, settings, status_file)
    except (ClusterMismatch, LogTruncated, InsufficientPrivilege, SchemaMissing) as error:
        raise UserError(f"sinks: {error}") from error
    except DRIVER_ERRORS as error:
        shown = settings.database.redacted
        raise UserError(
            f"sinks: the database {shown} cannot be used: {driver_message(error)}"
        ) from error


def _serve(app: "Api | Query | Web", settings: "Settings", *, shares_port: bool = False) -> None:
    from headrace.local.options import cannot_listen
    from headrace.roles.metrics_server import serve_metrics
    from producer_api.http.listen import ListenError
    from producer_api.http.server import serve_app

    (registry, checks) = (app.operations.registry, app.operations.checks)
    try:
        with serve_metrics(registry, checks, settings.metrics):
            code = serve_app(app, settings.api, shares_port=shares_port)
    except ListenError as error:
        raise cannot_listen(error, "HEADRACE_API__HOST and HEADRACE_API__PORT") from None
    raise typer.Exit(code)
