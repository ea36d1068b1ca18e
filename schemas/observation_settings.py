"""The settings of metrics, logs and traces."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricsSettings(_Group):
    """The port with health checks and metrics of a role."""

    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104 - for Prometheus
    port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of `/healthz`, `/readyz` and `/metrics` of each role; 0: none. "
        "`headrace up` serves those of all roles on its own port instead",
    )


class LogSettings(_Group):
    """Log entries, on standard error."""

    format: Literal["text", "json"] = Field(
        "text", description="`text`, or `json`: one object per line"
    )
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="the lowest level: `DEBUG`, `INFO`, `WARNING` or `ERROR`"
    )


class TracingSettings(_Group):
    """OpenTelemetry traces."""

    sample_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the requests that are traced, in addition to those whose "
        "`traceparent` is sampled; 0: no traces. Needs `pip install headrace[otel]`; the exporter "
        "has OpenTelemetry's own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`",
    )
