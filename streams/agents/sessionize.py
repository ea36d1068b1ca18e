"""events-session → sessions: visits, which are both the state and the result; and flat visits."""

from schemas.records import SessionState
from schemas.topics import EVENTS_SESSION, SESSIONS, VISITS
from streams.domain.sessions.aggregator import SessionAggregator
from streams.domain.sessions.rules import SessionRules
from streams.domain.states import States
from streams.engine.events import EventStream, now_ms
from streams.engine.worker import Worker

#: The fields that the rules read, in addition to those of every event.
READS = (
    *("visitor_id", "user_id", "url", "path", "hostname", "referrer", "utm", "trust"),
    *("source", "channel", "country", "region", "browser", "os", "device"),
)


def register(worker: Worker, rules: SessionRules) -> None:
    """Register the agent and its table."""

    def aggregator(states: States[SessionState], _: int) -> SessionAggregator:
        return SessionAggregator(states, rules, now_ms())

    @worker.aggregating_agent(
        EVENTS_SESSION,
        table=worker.table(SESSIONS, SessionState),
        aggregator=aggregator,
        reads=READS,
        sends_to=VISITS,
    )
    async def sessionize(stream: EventStream, sessions: SessionAggregator) -> None:
        await stream.apply(sessions.add)
