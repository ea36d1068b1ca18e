"""Creates the application of the role `api`."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import uuid_utils
from prometheus_client import CollectorRegistry

from producer_api.access.control import AccessControl
from producer_api.access.sites import Sites
from producer_api.events.derive.lookups import load as load_lookups
from producer_api.events.derive.salts import Salts
from producer_api.events.derive.steps import derive
from producer_api.events.derive.visitors import Visitors
from producer_api.events.dialects.completion import Completion
from producer_api.events.dialects.registry import enabled
from producer_api.events.draft import EventContext
from producer_api.events.import_sites import ImportSites
from producer_api.http.app import Api, Connection
from producer_api.http.body_bytes import BodyBytes
from producer_api.http.clients import Clients
from producer_api.http.dialects import DialectIntake
from producer_api.http.metrics import Metrics
from producer_api.produce.accumulator import Accumulator
from producer_api.produce.producer import ReconnectingProducer
from schemas.settings import Settings
from schemas.topics import EVENTS_RAW
from schemas.trusted_proxies import TrustedProxies


def create_app(  # noqa: PLR0913 - tests replace the dependencies
    settings: Settings,
    *,
    ready_checks: Sequence[Callable[[], str | None]] = (),
    registry: CollectorRegistry | None = None,
    connection: Connection | None = None,
    now: Callable[[], int] = lambda: time.time_ns() // 1000,
    clock: Callable[[], float] = time.monotonic,
) -> Api:
    """Create the application of the role `api`.

    Each of `ready_checks` returns why another role is not ready, or None. `registry` is exposed at
    /metrics; `now` returns microseconds since the epoch, `clock` monotonic seconds.
    """
    deadline = settings.api.deadline_seconds
    producer = connection or ReconnectingProducer(settings.kafka, EVENTS_RAW.name, deadline)
    accumulator = Accumulator(
        EVENTS_RAW.name,
        producer,
        deadline_seconds=deadline,
        max_waiting_bytes=settings.api.max_waiting_bytes,
    )
    salts = Salts(now)
    visitors = Visitors(salts, now, settings.session.gap_seconds * 1_000_000)
    lookups = load_lookups(
        visitors, masks_emails=settings.api.mask_emails, database=settings.api.geo_database
    )
    access = AccessControl(settings.api, Sites(), lambda: producer.failure, clock)
    context = EventContext(
        now,
        lambda: str(uuid_utils.uuid7()),
        ImportSites(settings.imports.sites, now),
        access.authorize,
        access.blocked_ids.check,
        partial(derive, lookups),
    )
    body_bytes = BodyBytes(settings.api.max_in_flight_bytes)
    metrics = Metrics(
        registry or CollectorRegistry(),
        lambda: accumulator.waiting_bytes,
        lambda: body_bytes.used,
        access,
    )
    clients = Clients(TrustedProxies(settings.api.trusted_proxies))
    return Api(
        producer,
        accumulator,
        context,
        metrics,
        ready_checks,
        body_bytes=body_bytes,
        clients=clients,
        access=access,
        salts=salts,
        dialects=partial(
            DialectIntake,
            enabled=enabled(settings.api.dialects),
            completion=Completion(access.sites, visitors.id_of, now),
        ),
    )
