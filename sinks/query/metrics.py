"""What the role counts. No label holds what a client sent: paths are those of the route table."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """The role's metrics, in a registry."""

    def __init__(self, registry: CollectorRegistry, live_sites: Callable[[], float]) -> None:
        self.registry = registry
        self.requests = Counter(
            "headrace_query_requests_total",
            "Requests that were answered.",
            ["route", "status"],
            registry=registry,
        )
        self.streams = Gauge(
            "headrace_query_streams", "Clients of streams, now.", registry=registry
        )
        self.dropped = Counter(
            "headrace_query_streams_dropped_total",
            "Clients that took nothing for too long.",
            registry=registry,
        )
        sites = Gauge(
            "headrace_query_live_sites", "Sites with live counters, now.", registry=registry
        )
        sites.set_function(live_sites)
