"""The Faust app of a worker: its agents read channels that the group member fills."""

import faust
from faust.app.base import BootStrategy


class _AgentsOnly(BootStrategy):  # type: ignore[misc]
    """Starts the agents and their supervisors, but no Kafka clients: `GroupMember` has them."""

    enable_kafka = False
    enable_sensors = False


class App(faust.App):  # type: ignore[misc]
    """A Faust app that has no consumer and no producer."""

    BootStrategy = _AgentsOnly


def create_app(app_id: str, datadir: str) -> App:
    """Return an app that is not started; Faust creates empty directories in `datadir`."""
    # Faust's web server serves table data without authentication.
    return App(app_id, autodiscover=False, datadir=datadir, store="memory://", web_enabled=False)
