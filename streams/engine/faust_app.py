"""The Faust app of a worker: its agents read channels that the group member fills."""

import faust
from faust.app.base import BootStrategy


class _AgentsOnly(BootStrategy):  # type: ignore[misc]
    """Starts agents and their supervision. Kafka is read by `GroupMember`, in their place."""

    enable_kafka = False
    enable_sensors = False


class App(faust.App):  # type: ignore[misc]
    """A Faust app that has no consumer and no producer."""

    BootStrategy = _AgentsOnly


def create_app(app_id: str, datadir: str) -> App:
    """Return an app that is not started; Faust creates empty folders in `datadir`."""
    # Faust's own server hands table data to anyone.
    return App(app_id, autodiscover=False, datadir=datadir, store="memory://", web_enabled=False)
