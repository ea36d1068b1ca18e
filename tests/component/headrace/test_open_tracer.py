"""Traces of a role: off by default, an extra, and exported to a collector."""

import queue
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headrace.errors import UserError
from headrace.roles.tracing import open_tracer
from schemas.observation_settings import TracingSettings


def test_the_sdk_is_imported_only_if_traces_are_on() -> None:
    """So that they cost nothing while they are off."""
    code = (
        "import sys; import headrace.roles.run, headrace.roles.web; "
        "from headrace.roles.tracing import open_tracer; "
        "from schemas.settings import Settings; "
        "assert open_tracer(Settings().tracing, 'api') is None; "
        "print('opentelemetry.sdk' in sys.modules, 'schemas.tracing' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role does not start without the traces that its settings ask for."""
    exporter = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, exporter, None)

    with pytest.raises(UserError, match=r"pip install 'headrace\[otel\]'"):
        open_tracer(TracingSettings(sample_ratio=0.5), "api")


class _Collector(BaseHTTPRequestHandler):
    """An OTLP collector that keeps the bodies of requests."""

    received: queue.SimpleQueue[tuple[str, bytes]]

    def do_POST(self) -> None:
        """Keep a request."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.put((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_spans_are_exported_to_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """With OpenTelemetry's own settings; the name of the service contains the role."""
    received: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    handler = type("Handler", (_Collector,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        tracer = open_tracer(TracingSettings(sample_ratio=1), "streams")
        assert tracer is not None
        tracer.begin_request("POST /api/event", "", 0.0).end()
        (path, body) = received.get(timeout=60)
        server.shutdown()

    assert path == "/v1/traces"
    request = ExportTraceServiceRequest.FromString(body)
    [resource] = request.resource_spans
    names = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert names["service.name"] == "headrace-streams"
    assert resource.scope_spans[0].spans[0].name == "POST /api/event"
