"""The role `query`, with traces if they are enabled."""

from prometheus_client import CollectorRegistry

from headrace.roles.tracing import open_tracer
from query_api import app
from query_api.app import Query
from schemas.settings import Settings


def create_query(settings: Settings, *, registry: CollectorRegistry) -> Query:
    """Create the role. The parameters are those of `query_api.app.create_query`."""
    query = app.create_query(settings, registry=registry)
    query.tracer = open_tracer(settings.tracing, "query")
    return query
