"""The overridden internals of uvicorn match the pinned version (ADR 53)."""

import inspect
from importlib.metadata import requires, version
from itertools import pairwise
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from producer_api.http.fast_protocol import protocol_with_limits
from producer_api.http.server import _Server

PROTOCOL = protocol_with_limits(10)
#: Attributes of uvicorn's protocol that are read or replaced.
ATTRIBUTES = (
    *("app", "app_state", "client", "cycle", "flow", "headers", "loop", "parser", "pipeline"),
    *("scope", "server_state", "timeout_keep_alive", "transport", "url"),
)
#: Attributes of uvicorn's `RequestResponseCycle`.
CYCLE_ATTRIBUTES = (
    "disconnected",
    "keep_alive",
    "message_event",
    "response_complete",
    "response_started",
)


def _overrides(cls: type, base: type) -> list[tuple[str, type, type]]:
    """Return the methods of `base` that its subclasses up to `cls` override."""
    found = []
    order = [one for one in cls.__mro__ if issubclass(one, base)]
    for own, _ in pairwise(order):
        found += [
            (name, own, base)
            for name in vars(own)
            if name != "__init__" and callable(vars(base).get(name))
        ]
    return found


OVERRIDES = [*_overrides(PROTOCOL, HttpToolsProtocol), *_overrides(_Server, uvicorn.Server)]


@pytest.mark.parametrize(("name", "own", "base"), OVERRIDES)
def test_an_override_has_the_signature_of_its_base(name: str, own: type, base: type) -> None:
    """Names, kinds and defaults of all parameters are equal."""
    (mine, theirs) = (inspect.signature(getattr(one, name)).parameters for one in (own, base))

    assert [(one.name, one.kind, one.default) for one in mine.values()] == [
        (one.name, one.kind, one.default) for one in theirs.values()
    ]


def test_every_method_that_uvicorn_must_call_is_overridden() -> None:
    """A method that uvicorn has renamed would never be called."""
    assert {name for name, own, _ in OVERRIDES if own is not _Server} >= {
        *("connection_made", "connection_lost", "data_received", "on_message_begin"),
        *("on_headers_complete", "on_body", "on_message_complete", "on_response_complete"),
        *("pause_writing", "resume_writing", "send_400_response"),
    }
    assert {name for name, own, _ in OVERRIDES if own is _Server} >= {
        *("capture_signals", "main_loop", "on_tick", "shutdown", "startup"),
    }


async def test_a_protocol_has_the_attributes_that_are_used() -> None:
    """So does its request."""
    config = uvicorn.Config(lambda: None, http="httptools", lifespan="off")
    config.load()
    protocol: Any = HttpToolsProtocol(config, ServerState(), {})
    protocol.on_message_begin()

    assert [name for name in ATTRIBUTES if not hasattr(protocol, name)] == []
    assert set(RequestResponseCycle.__init__.__code__.co_names) >= set(CYCLE_ATTRIBUTES)


def test_uvicorn_is_pinned() -> None:
    """To the version that is tested."""
    assert f"uvicorn=={version('uvicorn')}" in (requires("headrace") or [])
