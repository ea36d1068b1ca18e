"""What the role `query` reports about requests: traces, and responses of the server."""

import httpx
import pytest
from opentelemetry.trace import StatusCode

from query_api import observation
from schemas.headers import TRACEPARENT
from schemas.log_context import TRACE as CURRENT_TRACE
from tests.component.query_api.conftest import Role
from tests.component.test_tracing import CALLER, TRACE, Traces
from tests.fixtures.serving import listening

SAMPLED = {TRACEPARENT: f"00-{TRACE}-{CALLER}-01"}


async def test_a_request_is_a_span_of_its_callers_trace(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named after the route; log entries in the meantime have the trace id."""
    traces, logged = Traces(), list[str]()
    role.query.tracer = traces.tracer
    monkeypatch.setattr(observation, "log_request", lambda *_: logged.append(CURRENT_TRACE.get()))
    async with role.client(await role.token("shop")) as client:
        await client.get("/api/sites/shop/alerts", headers=SAMPLED)
        await client.get("/evil", headers=SAMPLED)
        await client.get("/api/sites/shop/alerts")  # not sampled

    assert [span.name for span in traces.spans] == ["GET /api/sites/{site_id}/alerts", "GET none"]
    [listed, unknown] = traces.spans
    assert listed.parent is not None
    assert f"{listed.parent.trace_id:032x}" == TRACE
    assert f"{listed.parent.span_id:016x}" == CALLER
    assert (listed.attributes or {})["http.response.status_code"] == 200
    assert (unknown.attributes or {})["http.response.status_code"] == 404
    assert StatusCode.ERROR not in [span.status.status_code for span in traces.spans]
    assert logged == [TRACE, TRACE, ""]


async def test_a_failed_request_is_an_error(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 5xx, and no response at all."""
    traces = Traces()
    role.query.tracer = traces.tracer
    role.query.streams.stopping.set()
    async with role.client(await role.token("shop")) as client:
        stopping = await client.get("/api/sites/shop/alerts", headers=SAMPLED)

        async def fail(*_: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(role.query._observed, "_app", fail)  # noqa: SLF001 - our own
        with pytest.raises(RuntimeError):
            await client.get("/api/sites/shop/alerts", headers=SAMPLED)

    assert stopping.status_code == 503
    assert [span.status.status_code for span in traces.spans] == [StatusCode.ERROR] * 2


async def test_responses_of_a_full_server_are_counted(role: Role) -> None:
    """They do not reach the application."""
    async with listening(role.query, 0) as port, httpx.AsyncClient() as client:
        full = await client.get(f"http://127.0.0.1:{port}/api/sites/shop/live")
    async with role.client(await role.token()) as client:
        metrics = (await client.get("/metrics")).text

    assert full.status_code == 503
    assert 'headrace_query_requests_total{route="none",status="503"} 1.0' in metrics
