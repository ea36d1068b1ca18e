"""Flat visits: the records of the topic `visits`, and the rows of the SQL table `sessions`."""

from collections.abc import Iterator

from schemas.records import FlatVisit, SessionState, Stamped, TrafficSource, Visit, VisitorClient

#: The defaults for visits without these fields, which earlier versions wrote.
_NO_SOURCE = TrafficSource(ts=0, event_id="", trust="")
_NO_CLIENT = VisitorClient(ts=0, event_id="", trust="")


def flat_visits(state: SessionState) -> Iterator[tuple[Visit, FlatVisit]]:
    """Yield each visit of a session that is not passive, and the same visit without nesting."""
    for visit in state.visits:
        if not visit.is_passive:
            yield visit, flat_visit(state.site_id, state.session_id, visit)


def flat_visit(site_id: str, session_id: str, visit: Visit) -> FlatVisit:
    """Return a visit without nested fields, and with times in milliseconds."""
    traffic_source, client = visit.traffic_source or _NO_SOURCE, visit.client or _NO_CLIENT
    return FlatVisit(
        visit_id=visit.visit_id,
        site_id=site_id,
        session_id=session_id,
        visitor_id=_value(visit.visitor_id),
        user_id=_value(visit.user_id),
        started_ms=visit.started_at // 1_000,
        ended_ms=visit.ended_at // 1_000,
        duration_ms=(visit.ended_at - visit.started_at) // 1_000,
        events=visit.events,
        pageviews=visit.pageviews,
        entry_path=_value(visit.entry),
        exit_path=_value(visit.exit),
        referrer=_value(visit.referrer),
        utm_source=_value(visit.utm_source),
        utm_medium=_value(visit.utm_medium),
        utm_campaign=_value(visit.utm_campaign),
        source=traffic_source.source,
        channel=traffic_source.channel,
        country=client.country,
        region=client.region,
        browser=client.browser,
        os=client.os,
        device=client.device,
        trust=visit.trust,
        bounced=visit.pageviews == 1 and visit.engagements == 0,
        errors=visit.errors,
        payments=visit.payments,
        state=visit.state,
        close_reason=visit.close_reason,
        revision=visit.revision,
    )


def _value(stamped: Stamped | None) -> str | None:
    return None if stamped is None else stamped.value
