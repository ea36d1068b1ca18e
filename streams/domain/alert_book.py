"""The alert rules of one partition while payments and errors flow."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable

from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from streams.domain import alerts
from streams.domain.fingerprints import fingerprint
from streams.domain.states import States

#: Fingerprints that one site keeps; more make the one not seen for longest leave.
MAX_FINGERPRINTS = 10_000


class AlertBook:
    """Applies the rules to the alert states of one partition, in its order."""

    def __init__(self, states: States[AlertState]) -> None:
        self._states = states
        #: For each site, its fingerprints, the one not seen for longest first.
        self._seen: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)

    def know(self, known: Iterable[AlertState]) -> None:
        """Take note of the states that were there before."""
        new = [state for state in known if state.rule == alerts.ERROR_NEW and state.subject]
        for state in sorted(new, key=lambda state: state.seen_ms):
            self._seen[state.site_id][state.subject] = None

    def apply(self, event: RawEvent, src: Source) -> list[Alert]:
        """Apply the rules to an event and return the alerts that it raises."""
        if not alerts.is_recent(event):
            return []
        if event.type == alerts.PAYMENT:
            return [alerts.payment(event, src)]
        if event.type == "error":
            return self._apply_error(event, src)
        return []

    def _apply_error(self, event: RawEvent, src: Source) -> list[Alert]:
        subject = fingerprint(event)
        raised = []
        seen_key = _key(event.site_id, alerts.ERROR_NEW, subject)
        known = self._states.get(seen_key)
        if alerts.error_is_new(known, src):
            quota_key = _key(event.site_id, alerts.ERROR_NEW, "")
            step = alerts.error_new(self._states.get(quota_key), event, subject, src)
            self._states.put(quota_key, step.state)
            raised.append(step.alert)
        self._states.put(seen_key, alerts.error_seen(known, event, subject, src))
        rate_key = _key(event.site_id, alerts.ERROR_RATE, subject)
        step = alerts.error_rate(self._states.get(rate_key), event, subject, src)
        self._states.put(rate_key, step.state)
        raised.append(step.alert)
        self._bound(event.site_id, subject)
        return [alert for alert in raised if alert is not None]

    def _bound(self, site_id: str, subject: str) -> None:
        seen = self._seen[site_id]
        seen[subject] = None
        seen.move_to_end(subject)
        while len(seen) > MAX_FINGERPRINTS:
            oldest = next(iter(seen))
            keys = [_key(site_id, rule, oldest) for rule in (alerts.ERROR_NEW, alerts.ERROR_RATE)]
            if any(self._states.is_changed(key) for key in keys):
                return  # thousands of them in one batch: the next one makes room
            del seen[oldest]
            for key in keys:
                self._states.delete(key)


def _key(site_id: str, rule: str, subject: str) -> bytes:
    return f"{site_id}:{rule}:{subject}".encode()
