from typing import Any

import uvicorn
from uvicorn.server import ServerState

from producer_api.http import slow_connections
from producer_api.http.fast_protocol import protocol_with_limits
from producer_api.http.slow_connections import close_slow_connections


class Transport:
    """A transport that records `abort`."""

    def __init__(self) -> None:
        self.is_aborted = False

    def abort(self) -> None:
        """Record the abort."""
        self.is_aborted = True

    def get_extra_info(self, name: str) -> Any:
        """Return None."""
        del name

    def is_closing(self) -> bool:
        """Return False."""
        return False


async def test_a_client_that_stops_reading_is_aborted_unless_it_resumes(
    monkeypatch: Any,
) -> None:
    """The time that a response may be pending is limited."""
    (stuck, resumed) = (_connection(), _connection())
    stuck.pause_writing()
    resumed.pause_writing()
    close_slow_connections([stuck, resumed])
    assert not stuck.transport.is_aborted

    resumed.resume_writing()
    monkeypatch.setattr(slow_connections, "READ_SECONDS", 0.0)
    close_slow_connections([stuck, resumed])

    assert stuck.transport.is_aborted
    assert not resumed.transport.is_aborted


def _connection() -> Any:
    config = uvicorn.Config(lambda: None, http="httptools", lifespan="off")
    config.load()
    protocol = protocol_with_limits(10)(config, ServerState(), {})
    protocol.connection_made(Transport())
    return protocol
