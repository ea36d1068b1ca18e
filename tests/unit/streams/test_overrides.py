"""All library methods that our classes override, with reasons, because libraries change."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import FunctionType

import query_api
import sinks
import streams

_LISTENER = "aiokafka's interface for who must know of a rebalance"
_TYPE = "SQLAlchemy's interface for types of columns"
_COLLECTOR = "prometheus_client's interface for metrics that are read when they are exposed"
_RESOLVER = "aiohttp's interface for resolvers: ours checks the addresses"

#: Overridden methods and reasons. Only interfaces meant for implementation are overridden.
OVERRIDES = {
    "GroupMember.on_partitions_assigned": _LISTENER,
    "GroupMember.on_partitions_revoked": _LISTENER,
    "WorkerMetrics.collect": _COLLECTOR,
    "LiveMetrics.collect": _COLLECTOR,
    "SinkMetrics.collect": _COLLECTOR,
    "_ByEngine.load_dialect_impl": _TYPE,
    "_ByEngine.process_bind_param": _TYPE,
    "_ByEngine.process_result_value": _TYPE,
    "CheckingResolver.close": _RESOLVER,
    "CheckingResolver.resolve": _RESOLVER,
    "Route.get_route_handler": "FastAPI's documented way to a custom route",
}
_STANDARD = {"abc", "builtins", "typing", "enum", "collections", "contextlib", "json", "logging"}


def _classes() -> Iterator[type]:
    for package in (streams, sinks, query_api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if one.__module__ == module.name:
                    yield one


def _is_foreign(base: type) -> bool:
    package = base.__module__.partition(".")[0]
    return package not in {"streams", "sinks", "query_api", "schemas", *_STANDARD}


def _overridden() -> Iterator[tuple[str, object, object]]:
    for one in _classes():
        for name, method in vars(one).items():
            base = next((b for b in one.__mro__[1:] if name in vars(b)), None)
            is_own = name.startswith("__") or not isinstance(method, FunctionType)
            if base is not None and _is_foreign(base) and not is_own:
                yield f"{one.__name__}.{name}", method, vars(base)[name]


def test_each_override_is_listed_with_its_reason() -> None:
    """An unlisted override could be dead code after the next release of the library."""
    assert {name for name, *_ in _overridden()} == OVERRIDES.keys()


def test_each_override_has_the_parameters_of_its_base() -> None:
    """With the same names, because libraries pass some by name."""
    for name, own, base in _overridden():
        assert list(inspect.signature(own).parameters) == list(  # type: ignore[arg-type]
            inspect.signature(base).parameters  # type: ignore[arg-type]
        ), name
