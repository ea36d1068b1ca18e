"""The server of `/healthz`, `/readyz` and `/metrics` on a separate port.

It runs in a thread, so that it responds while the role's event loop is busy.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from headrace.errors import UserError
from schemas.observation_settings import MetricsSettings

_STOP_SECONDS = 5.0


@contextmanager
def serve_metrics(
    registry: CollectorRegistry,
    checks: Sequence[Callable[[], str | None]],
    settings: MetricsSettings,
) -> Iterator[None]:
    """Serve while the context is open, if the settings have a port.

    `/readyz` responds with the first reason of `checks`, which are called in another
    thread. Raises `UserError` if it cannot listen on the address.
    """
    if not settings.port:
        yield
        return
    # Stream roles need no HTTP server otherwise.
    import uvicorn  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415

    from producer_api.http.listen import ListenError, listen  # noqa: PLC0415
    from schemas.operational_endpoints import MONITORING_PATHS, Operations  # noqa: PLC0415

    try:
        listener = listen(settings.host, settings.port)
    except ListenError as error:
        raise UserError(
            f"{error}. Choose another with HEADRACE_METRICS__HOST and HEADRACE_METRICS__PORT"
        ) from None
    app = Starlette(routes=Operations(registry, checks).routes(MONITORING_PATHS))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )

    def run() -> None:
        with asyncio.Runner() as runner:
            runner.run(server.serve(sockets=[listener]))

    thread = threading.Thread(target=run, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_SECONDS)
