"""The Faust app that a worker runs, set up for whole fetches."""

from typing import Any

import faust
from faust.sensors import Monitor
from faust.tables import TableManager
from mode import Service

from streams.engine.consumer import FetchTransport, Positions
from streams.engine.fetches import FetchScheduler
from streams.engine.pace import MAX_FETCH_BYTES

SESSION_TIMEOUT_SECONDS = 10.0
_METADATA_MAX_AGE_MS = 15_000


class _App(faust.App):  # type: ignore[misc]
    """Faust's app without folders: it makes some in the working directory, for stores on disk."""

    def _create_directories(self) -> None:
        """Make none: tables are kept in memory and in their topics."""


class _TableManager(TableManager):  # type: ignore[misc]
    """Faust's, which waits a second at each start for tables that are still to be registered."""

    async def on_start(self) -> None:
        """Begin at once: a worker's tables are all registered before its app is started."""
        await self._update_channels()
        await self.recovery.start()


class _Monitor(Monitor):  # type: ignore[misc]
    """Faust's, which makes averages every second that nobody asks for."""

    @Service.task  # type: ignore[untyped-decorator]
    async def _sampler(self) -> None:
        """Make none."""


def faust_app(app_id: str, bootstrap_servers: str, positions: Positions | None) -> Any:
    """Return an app that is not started; `positions` says where reading begins, if not None."""
    app = _App(
        app_id,
        broker=[f"kafka://{server.strip()}" for server in bootstrap_servers.split(",")],
        autodiscover=False,
        broker_commit_interval=1.0,
        broker_session_timeout=SESSION_TIMEOUT_SECONDS,
        broker_heartbeat_interval=3.0,
        broker_rebalance_timeout=30.0,
        consumer_auto_offset_reset="earliest",
        # A broker that has just started may not know all topics yet, and the group then shares out
        # those that it does: the others are read once they are seen. By default in five minutes.
        consumer_metadata_max_age_ms=_METADATA_MAX_AGE_MS,
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        stream_buffer_maxsize=4,
        # Records that compress well come by the hundred thousand: one turn of the loop is one.
        broker_max_poll_records=5_000,
        stream_wait_empty=True,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        # Faust's own server hands table data to anyone.
        web_enabled=False,
        ConsumerScheduler=FetchScheduler,
        Monitor=_Monitor,
        TableManager=_TableManager,
    )
    app.transport = FetchTransport(app.conf.broker_consumer, app)
    app.transport.positions = positions
    return app
