from typing import Any

import uvicorn
from uvicorn.server import ServerState

from producer_api import connections
from producer_api.connections import close_slow_connections
from producer_api.direct import protocol_with_limits


class Transport:
    """A connection whose end is noted."""

    def __init__(self) -> None:
        self.cut = False

    def abort(self) -> None:
        """Note that it was cut."""
        self.cut = True

    def get_extra_info(self, name: str) -> Any:
        """Tell nothing."""
        del name

    def is_closing(self) -> bool:
        """Tell that it is open."""
        return False


async def test_a_client_that_reads_nothing_is_cut_in_time_and_one_that_reads_again_is_not(
    monkeypatch: Any,
) -> None:
    """What waits for it is bounded by then, and so is how long."""
    (stuck, well) = (_connection(), _connection())
    stuck.pause_writing()
    well.pause_writing()
    close_slow_connections([stuck, well])
    assert not stuck.transport.cut

    well.resume_writing()
    monkeypatch.setattr(connections, "READ_SECONDS", 0.0)
    close_slow_connections([stuck, well])

    assert stuck.transport.cut
    assert not well.transport.cut


def _connection() -> Any:
    config = uvicorn.Config(lambda: None, http="httptools", lifespan="off")
    config.load()
    protocol = protocol_with_limits(10)(config, ServerState(), {})
    protocol.connection_made(Transport())
    return protocol
