"""events-alert → alerts: payments, new errors and error rates, also those of subscriptions."""

from collections.abc import Awaitable, Callable

from schemas.headers import Source
from schemas.records import AlertState, RawEvent
from schemas.topics import ALERT_STATES, ALERTS, EVENTS_ALERT
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.subscriptions import Subscriptions
from streams.domain.states import States
from streams.engine.events import EventStream
from streams.engine.worker import Worker

#: The fields that the rules read, in addition to those of every event.
READS = (
    *("visitor_id", "user_id", "url", "path", "error_name", "error_message", "error_stack"),
    *("provider", "amount", "currency", "trust"),
)


def register(
    worker: Worker,
    subscriptions: Subscriptions,
    complete: Callable[[], Awaitable[None]],
    public_url: str | None = None,
) -> None:
    """Register the agent and its table. Batches are processed once `subscriptions` are `complete`.

    Alerts link to the dashboard at `public_url`.
    """

    def aggregator(states: States[AlertState], _: int) -> AlertAggregator:
        return AlertAggregator(states, subscriptions, public_url)

    @worker.aggregating_agent(
        EVENTS_ALERT,
        table=worker.table(ALERT_STATES, AlertState),
        aggregator=aggregator,
        reads=READS,
        sends_to=ALERTS,
        needs=complete,
    )
    async def raise_alerts(stream: EventStream, alerts: AlertAggregator) -> None:
        def add(event: RawEvent, source: Source) -> None:
            for alert in alerts.add(event, source):
                stream.send(alert.site_id.encode(), alert)

        await stream.apply(add)
