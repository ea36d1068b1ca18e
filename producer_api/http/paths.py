"""The paths of the role `api` but for the operational ones: events and the tracker's scripts."""

from functools import lru_cache
from typing import Any, NamedTuple

from producer_api.events.dialects.registry import DIALECTS, Routes
from producer_api.events.rejection import Rejected
from producer_api.http.scripts import SCRIPT_PATHS, is_script_path
from schemas.asgi_extensions import canonical_path

EVENT_PATH = "/api/event"
BATCH_PATH = "/api/events"
EVENT_PATHS = frozenset({EVENT_PATH, BATCH_PATH})
#: The endpoints of all dialects, also of disabled ones.
DIALECT_ROUTES = Routes(DIALECTS)

_BELOW = tuple(f"{path}/" for path in EVENT_PATHS)


class Target(NamedTuple):
    """The target of a request to a path of dialects, which is canonical; and its methods.

    HEAD is none of them: the server of the ASGI application omits the bodies of its responses.
    """

    path: str
    query: str
    methods: frozenset[bytes]


def dialect_target(target: bytes) -> Target | None:
    """Return a target of dialects in origin form whose path is not encoded; None for others.

    `/api/event` is none, because an event of our own comes first there.
    """
    (raw_path, _, query) = target.partition(b"?")
    if b"#" in target or not target.isascii():
        return None
    (path, methods) = _path_and_methods(raw_path)
    return Target(path, query.decode(), methods) if methods else None


@lru_cache(maxsize=256)
def _path_and_methods(raw_path: bytes) -> tuple[str, frozenset[bytes]]:
    """Return the canonical path, and the methods of dialects; none of a path that is encoded."""
    path = route_path(raw_path.decode())
    routes = () if b"%" in raw_path or path in EVENT_PATHS else DIALECT_ROUTES.at(path)
    methods = {method for route in routes for method in route.endpoint.methods}
    return path, frozenset(method.encode() for method in methods - {"HEAD"})


def allowed_methods(path: str) -> str:
    """Return the methods of a canonical path that accepts events, separated by commas; or ""."""
    if path in EVENT_PATHS:
        return "POST, OPTIONS"
    methods = {method for route in DIALECT_ROUTES.at(path) for method in route.endpoint.methods}
    return ", ".join([*sorted(methods), "OPTIONS"]) if methods else ""


def error_members(path: str, rejected: Rejected) -> dict[str, Any]:
    """Return what the clients of other systems at this path read from an error.

    Several dialects may share the path: which of them a request is of may not be known.
    """
    (reason, sentence) = (rejected.reason, rejected.sentence())
    members: dict[str, Any] = {}
    for route in DIALECT_ROUTES.at(path):
        members |= route.endpoint.explain(reason.status, reason.code, sentence)
    return members


@lru_cache(maxsize=256)
def metric_label(path: str) -> str:
    """Return the label of a canonical path of this module; "none" for others."""
    if path in EVENT_PATHS:
        return path
    if path in SCRIPT_PATHS:
        return SCRIPT_PATHS[path]
    return next((route.endpoint.path for route in DIALECT_ROUTES.at(path)), "none")


def route_path(path: str) -> str:
    """Return the path for route lookup, without duplicate and trailing slashes."""
    return path if path in EVENT_PATHS else canonical_path(path)


def is_event_path(path: str) -> bool:
    """Return True if a canonical path accepts events, is below one that does, or a dialect's."""
    return path in EVENT_PATHS or path.startswith(_BELOW) or bool(DIALECT_ROUTES.at(path))


def is_api_path(path: str) -> bool:
    """Return True if the role `api` serves a canonical path, also next to the role `query`."""
    return is_event_path(path) or is_script_path(path)
