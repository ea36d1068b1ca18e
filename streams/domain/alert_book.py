"""The alert rules of one partition while payments and errors flow."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable

from schemas.alert_rules import ERROR_NEW, ERROR_RATE, PAYMENT
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from streams.domain import alerts
from streams.domain.alerts import NEW_AFTER_MS, Rate
from streams.domain.fingerprints import fingerprint
from streams.domain.states import Deadlines, States, let_leave
from streams.domain.subscriptions import Subscriptions, is_asked_for

#: Fingerprints that one site keeps; more make the one not seen for longest leave.
MAX_FINGERPRINTS = 10_000
#: Rates that subscriptions of one site have counted; likewise.
MAX_ASKED_RATES = 10_000
#: A state that was not touched for so long says nothing any more: an error is new again.
KEPT_MS = NEW_AFTER_MS + 24 * 3_600_000

_DELETED_AT_ONCE = 1_000


class AlertBook:
    """Applies the rules to the alert states of one partition, in its order.

    First those that are on for every site, then what subscriptions ask for, beside them.
    """

    def __init__(self, states: States[AlertState], subscriptions: Subscriptions) -> None:
        self._states = states
        self._subscriptions = subscriptions
        #: For each site, its fingerprints, the one not seen for longest first.
        self._seen: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)
        #: The same for the rates that subscriptions ask for, by their subjects.
        self._asked: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)
        self._deadlines = Deadlines()

    def know(self, known: Iterable[AlertState]) -> None:
        """Take note of the states that were there before."""
        for state in sorted(known, key=lambda state: state.seen_ms):
            key = _key(state.site_id, state.rule, state.subject)
            self._deadlines.set(key, state.seen_ms + KEPT_MS)
            if state.rule == ERROR_NEW and state.subject:
                self._seen[state.site_id][state.subject] = None
            elif is_asked_for(state.subject):
                self._asked[state.site_id][state.subject] = None

    def begin_batch(self, most: int) -> int:
        """Delete the states beyond `most`, those not touched for longest first; return how many."""
        self._deadlines.throw_out_stale(self._states, len(self._states))
        return let_leave(len(self._states) - most, self._delete_first)

    def apply(self, event: RawEvent, src: Source) -> list[Alert]:
        """Apply the rules to an event and return the alerts that it raises."""
        if not alerts.is_recent(event):
            return []
        if event.type == PAYMENT:
            own = self._subscriptions.payments(event.site_id)
            asked = (one.payment(event, src) for one in own)
            return [alerts.payment(event, src), *(alert for alert in asked if alert is not None)]
        if event.type == "error":
            return self._apply_error(event, src)
        return []

    def _apply_error(self, event: RawEvent, src: Source) -> list[Alert]:
        subject = fingerprint(event)
        raised = []
        seen_key = _key(event.site_id, ERROR_NEW, subject)
        known = self._states.get(seen_key)
        if alerts.error_is_new(known, src):
            quota_key = _key(event.site_id, ERROR_NEW, "")
            step = alerts.error_new(self._states.get(quota_key), event, subject, src)
            self._put(quota_key, step.state)
            raised.append(step.alert)
        self._put(seen_key, alerts.error_seen(known, event, subject, src))
        raised.append(self._count(event, subject, src, alerts.every_sites_rate()))
        self._bound(event.site_id, subject)
        for one in self._subscriptions.error_rates(event.site_id):
            asked = one.subject(subject)
            raised.append(self._count(event, asked, src, one.rate()))
            self._bound_asked(event.site_id, asked)
        return [alert for alert in raised if alert is not None]

    def _count(self, event: RawEvent, subject: str, src: Source, rate: Rate) -> Alert | None:
        key = _key(event.site_id, ERROR_RATE, subject)
        step = alerts.error_rate(self._states.get(key), event, subject, src, rate)
        self._put(key, step.state)
        return step.alert

    def end_batch(self, now_ms: int) -> None:
        """Delete what was not touched for a month: sites come and go."""
        for key in self._deadlines.due(now_ms, _DELETED_AT_ONCE):
            state = self._states.get(key)
            if state is None:
                continue
            if self._states.is_changed(key) or state.seen_ms + KEPT_MS >= now_ms:
                self._deadlines.set(key, state.seen_ms + KEPT_MS)
                continue
            self._delete(key, state)

    def _delete(self, key: bytes, state: AlertState) -> None:
        self._states.delete(key)
        for known in (self._seen, self._asked):
            known[state.site_id].pop(state.subject, None)
            if not known[state.site_id]:
                del known[state.site_id]

    def _delete_first(self) -> bool:
        """Delete the state not touched for longest; False when there is none."""
        first = self._deadlines.earliest_state(self._states, lambda state: state.seen_ms + KEPT_MS)
        if first is not None:
            self._delete(*first)
        return first is not None

    def _put(self, key: bytes, state: AlertState) -> None:
        if self._states.get(key) is None:
            self._deadlines.set(key, state.seen_ms + KEPT_MS)
        self._states.put(key, state)

    def _bound(self, site_id: str, subject: str) -> None:
        seen = self._seen[site_id]
        seen[subject] = None
        seen.move_to_end(subject)
        while len(seen) > MAX_FINGERPRINTS:
            oldest = next(iter(seen))
            keys = [_key(site_id, rule, oldest) for rule in (ERROR_NEW, ERROR_RATE)]
            if any(self._states.is_changed(key) for key in keys):
                return  # thousands of them in one batch: the next one makes room
            del seen[oldest]
            for key in keys:
                self._states.delete(key)

    def _bound_asked(self, site_id: str, subject: str) -> None:
        """Those of a subscription that is gone leave so, too: nothing counts them any more."""
        asked = self._asked[site_id]
        asked[subject] = None
        asked.move_to_end(subject)
        while len(asked) > MAX_ASKED_RATES:
            key = _key(site_id, ERROR_RATE, next(iter(asked)))
            if self._states.is_changed(key):
                return
            asked.popitem(last=False)
            self._states.delete(key)


def _key(site_id: str, rule: str, subject: str) -> bytes:
    return f"{site_id}:{rule}:{subject}".encode()
