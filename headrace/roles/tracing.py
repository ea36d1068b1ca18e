"""Enable traces, if the settings have a sample ratio."""

from typing import TYPE_CHECKING

from headrace.errors import UserError
from schemas.observation_settings import TracingSettings

if TYPE_CHECKING:
    from schemas.tracing import Tracer


def open_tracer(settings: TracingSettings, role: str) -> "Tracer | None":
    """Return the tracer of a role; None if traces are off. It exports in the background.

    Raises `UserError` if OpenTelemetry is not installed.
    """
    if not settings.sample_ratio:
        return None
    try:
        # Not imported while traces are off.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import (  # noqa: PLC0415
            ParentBased,
            TraceIdRatioBased,
        )

        from schemas.tracing import Tracer  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            "HEADRACE_TRACING__SAMPLE_RATIO needs OpenTelemetry: `pip install 'headrace[otel]'`"
        ) from error
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
        resource=Resource.create({"service.name": f"headrace-{role}"}),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider)
