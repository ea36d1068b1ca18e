"""The metrics of the role. Labels contain no client input: routes are path templates."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """The metrics of the role, which are registered in `registry`."""

    def __init__(self, registry: CollectorRegistry, live_sites: Callable[[], float]) -> None:
        self.registry = registry
        self.requests = Counter(
            "headrace_query_requests_total",
            "Requests by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self.streams = Gauge("headrace_query_streams", "Open streams.", registry=registry)
        self.dropped = Counter(
            "headrace_query_streams_dropped_total",
            "Streams closed because the client did not read.",
            registry=registry,
        )
        sites = Gauge("headrace_query_live_sites", "Sites with live counters.", registry=registry)
        sites.set_function(live_sites)
