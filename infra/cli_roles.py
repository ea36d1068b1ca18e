"""`headrace api`, `streams` and so on: a role in the foreground, settings from outside."""

from pathlib import Path
from typing import Annotated

import typer

_StatusFile = Annotated[Path | None, typer.Option(hidden=True)]


def api() -> None:
    """Take events over HTTP and put them into Kafka."""
    from infra.data_dir import read_settings
    from infra.logs import configure_logging
    from producer_api.server import serve

    settings = read_settings()
    configure_logging()
    raise typer.Exit(serve(settings))


def query() -> None:
    """Answer over HTTP: what happens now, alerts, sessions, pages, and the live page."""
    from prometheus_client import REGISTRY

    from infra.data_dir import read_settings
    from infra.logs import configure_logging
    from producer_api.server import serve_app
    from sinks.query.app import create_query

    settings = read_settings()
    configure_logging()
    app = create_query(settings, registry=REGISTRY)
    raise typer.Exit(serve_app(app, settings.api))


def web(status_dir: Annotated[Path, typer.Option()]) -> None:
    """Do what `api` and `query` do, for `headrace up`, whose other roles write to `status_dir`."""
    from prometheus_client import REGISTRY

    from infra.data_dir import read_settings
    from infra.logs import configure_logging
    from infra.role_metrics import RoleMetrics
    from infra.role_status import why_not_ready
    from infra.web import create_web
    from producer_api.server import serve_app

    settings = read_settings()
    configure_logging()
    others = [status_dir / f"{role}.json" for role in ("streams", "live", "sinks")]
    REGISTRY.register(RoleMetrics(others))
    checks = [lambda path=path: why_not_ready(path) for path in others]
    app = create_web(settings, ready_checks=checks, registry=REGISTRY)
    raise typer.Exit(serve_app(app, settings.api))


def streams(status_file: _StatusFile = None) -> None:
    """Route events; make sessions, page durations and alerts of them."""
    from infra.data_dir import read_settings
    from infra.role import run_role
    from streams.app import run

    run_role("streams", run, read_settings(), status_file)


def live(status_file: _StatusFile = None) -> None:
    """Count what happens now, for the live page and its API."""
    from infra.data_dir import read_settings
    from infra.role import run_role
    from streams.live_app import run

    run_role("live", run, read_settings(), status_file)


def sinks(
    status_file: _StatusFile = None,
    upgrade_database: Annotated[bool, typer.Option("--upgrade-database", hidden=True)] = False,
    owner_token: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Write events, sessions, page durations and alerts to SQL."""
    from infra import database, owner
    from infra.data_dir import read_settings
    from infra.errors import UserError
    from infra.role import run_role
    from sinks.app import run
    from sinks.sql.errors import ClusterMismatch, LogTruncated, RightMissing, SchemaMissing

    settings = read_settings()
    if upgrade_database:
        database.upgrade_database(settings.database)
    if owner_token:
        owner.owner_token(owner_token, settings.database)
    try:
        run_role("sinks", run, settings, status_file)
    except (ClusterMismatch, LogTruncated, RightMissing, SchemaMissing) as error:
        raise UserError(f"sinks: {error}") from error
