"""The metrics of the role. Labels contain no client input: routes are path templates."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.metric_buckets import LATENCY_SECONDS, RESPONSE_SECONDS


class Metrics:
    """The metrics of the role, which are registered in `registry`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        live_sites: Callable[[], float],
        malformed: Callable[[], float],
    ) -> None:
        self.registry = registry
        self.requests = Counter(
            "headrace_query_requests_total",
            "Requests by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "headrace_query_request_seconds",
            "Time until the response begins, by route.",
            ["route"],
            registry=registry,
            buckets=RESPONSE_SECONDS,
        )
        self.live_latency = Histogram(
            "headrace_query_live_latency_seconds",
            "Time from the 202 of the newest event of a site until a live stream sends it.",
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.alert_latency = Histogram(
            "headrace_query_alert_latency_seconds",
            "Time from the 202 of the event that raised an alert until an alert stream sends it.",
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.streams = Gauge("headrace_query_streams", "Open streams.", registry=registry)
        self.dropped = Counter(
            "headrace_query_streams_dropped_total",
            "Streams closed because the client did not read.",
            registry=registry,
        )
        malformed_records = Gauge(
            "headrace_query_malformed_records",
            "Records of live-counters that could not be decoded, since the start.",
            registry=registry,
        )
        malformed_records.set_function(malformed)
        sites = Gauge("headrace_query_live_sites", "Sites with live counters.", registry=registry)
        sites.set_function(live_sites)
