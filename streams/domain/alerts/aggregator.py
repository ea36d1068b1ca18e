"""The alert aggregator: applies the rules to the payments and errors of one partition."""

from schemas.alert_rules import ERROR_NEW, ERROR_RATE, PAYMENT
from schemas.headers import Source
from schemas.records import Alert, AlertState, RawEvent
from streams.domain.alerts import error_rates, new_errors
from streams.domain.alerts.alert import is_recent, with_link
from streams.domain.alerts.error_rates import Rate
from streams.domain.alerts.fingerprints import fingerprint
from streams.domain.alerts.new_errors import NEW_AFTER_MS
from streams.domain.alerts.payments import payment_alert
from streams.domain.alerts.rule_state import limit_times
from streams.domain.alerts.subjects import Subjects
from streams.domain.alerts.subscriptions import Subscriptions, is_custom
from streams.domain.states import Deadlines, States, evict_while_over

#: Limit of fingerprints per site; beyond it, the least recently seen is evicted.
MAX_FINGERPRINTS = 10_000
#: Limit of the custom rates per site and fingerprint.
MAX_CUSTOM_RATES = 10_000
#: Additional limit of both for errors that were not reported yet; they evict only each other.
MAX_UNSEEN_RATES = 1_000
#: States without events for this time are deleted: the error is new again.
KEPT_MS = NEW_AFTER_MS + 24 * 3_600_000

_DELETED_AT_ONCE = 1_000


class AlertAggregator:
    """Applies the rules to the alert states of one partition, in order.

    The rules of every site come first, then the error rates of subscriptions. Alerts link to the
    dashboard at `public_url`, if there is one.
    """

    def __init__(
        self,
        states: States[AlertState],
        subscriptions: Subscriptions,
        public_url: str | None = None,
    ) -> None:
        self._states = states
        self._public_url = public_url
        self._ceiling_ms: int | None = None
        self._now_ms = 0
        self._restored: list[tuple[bytes, AlertState]] = []
        self._subscriptions = subscriptions
        #: The fingerprints of each site.
        self._seen = Subjects()
        #: The subjects of the custom rates of each site.
        self._custom = Subjects()
        self._deadlines = Deadlines()
        self._digests = Deadlines()

    def restore(self, key: bytes, state: AlertState) -> None:
        """Restore a state after an assignment."""
        self._restored.append((key, state))

    def _index_restored(self) -> None:
        for key, state in sorted(self._restored, key=lambda one: one[1].seen_ms):
            self._deadlines.set(key, state.seen_ms + KEPT_MS)
            self._set_digest(key, state)
            site_id, subject = state.site_id, state.subject
            if is_custom(subject):
                # It is not known whether the error was reported.
                self._custom.see(site_id, subject, is_established=True)
            elif subject:
                self._seen.see(site_id, subject, is_established=state.rule == ERROR_NEW)
        self._restored.clear()

    def evict(self, limit: int, ceiling_ms: int | None = None) -> int:
        """Evict the states beyond `limit`, the least recently seen first; return how many.

        Times of states are limited to `ceiling_ms`, because the clock of a broker was ahead.
        """
        self._index_restored()
        self._now_ms, self._ceiling_ms = 0, ceiling_ms
        self._deadlines.drop_stale(self._states, len(self._states))
        return evict_while_over(len(self._states) - limit, self._delete_first)

    def advance(self, src: Source) -> bool:
        """Advance stream time to the latest record of the batch."""
        self._now_ms = max(self._now_ms, src.log_ms)
        return False

    def add(self, event: RawEvent, src: Source) -> list[Alert]:
        """Apply the rules to an event and return the alerts that it raises."""
        if not is_recent(event):
            return []
        raised: list[Alert] = []
        if event.type == PAYMENT:
            raised = [payment_alert(event, src)]
        elif event.type == "error":
            raised = self._apply_error(event, src)
        return self._linked(raised)

    def _apply_error(self, event: RawEvent, src: Source) -> list[Alert]:
        subject = fingerprint(event)
        raised = self._apply_new(event, subject, src)
        raised.append(self._count(event, subject, src, error_rates.every_sites_rate()))
        is_seen = self._states.get(_key(event.site_id, ERROR_NEW, subject)) is not None
        self._seen.see(event.site_id, subject, is_established=is_seen)
        self._limit_fingerprints(event.site_id)
        for one in self._subscriptions.error_rates(event.site_id):
            key = one.subject(subject)
            raised.append(self._count(event, key, src, one.rate()))
            self._custom.see(event.site_id, key, is_established=is_seen)
            self._limit_custom(event.site_id)
        return [alert for alert in raised if alert is not None]

    def _apply_new(self, event: RawEvent, subject: str, src: Source) -> list[Alert | None]:
        seen_key = _key(event.site_id, ERROR_NEW, subject)
        known = self._get(seen_key)
        if not new_errors.is_new(known, src):
            self._put(seen_key, new_errors.see(known, event, subject, src))
            return []
        quota_key = _key(event.site_id, ERROR_NEW, "")
        raised: list[Alert | None] = []
        quota = self._get(quota_key)
        if quota is not None and quota.unseen and new_errors.is_over(quota, src):
            quota, digest = new_errors.digest(quota)
            raised.append(digest)
        quota, alert = new_errors.apply(quota, event, subject, src)
        self._put(quota_key, quota)
        if len(quota.unseen) == 1:
            self._set_digest(quota_key, quota)
        if new_errors.has_raised(quota, subject):
            self._put(seen_key, new_errors.see(known, event, subject, src))
        return [*raised, alert]

    def _count(self, event: RawEvent, subject: str, src: Source, rate: Rate) -> Alert | None:
        key = _key(event.site_id, ERROR_RATE, subject)
        step = error_rates.apply(self._get(key), event, subject, src, rate)
        self._put(key, step.state)
        return step.alert

    def flush(self) -> list[tuple[bytes, Alert]]:
        """Return the digests that are due by site, and delete states without events for a month."""
        raised, now_ms = [], self._now_ms
        for key in self._digests.due(now_ms, _DELETED_AT_ONCE):
            state = self._states.get(key)
            at_ms = None if state is None else new_errors.digest_at(state)
            if state is None or at_ms is None:
                continue
            if at_ms > now_ms:
                self._digests.set(key, at_ms)
                continue
            state, alert = new_errors.digest(state)
            self._put(key, state)
            raised.append(alert)
        self._delete_untouched(now_ms)
        return [(alert.site_id.encode(), alert) for alert in self._linked(raised)]

    def _delete_untouched(self, now_ms: int) -> None:
        """Delete the states without events for a month."""
        for key in self._deadlines.due(now_ms, _DELETED_AT_ONCE):
            state = self._states.get(key)
            if state is None:
                continue
            if self._states.is_changed(key) or state.seen_ms + KEPT_MS >= now_ms:
                self._deadlines.set(key, state.seen_ms + KEPT_MS)
                continue
            self._delete(key, state)

    def _set_digest(self, key: bytes, state: AlertState) -> None:
        at_ms = new_errors.digest_at(state)
        if at_ms is not None:
            self._digests.set(key, at_ms)

    def _linked(self, raised: list[Alert]) -> list[Alert]:
        if self._public_url is None:
            return raised
        return [with_link(alert, self._public_url) for alert in raised]

    def _delete(self, key: bytes, state: AlertState) -> None:
        self._states.delete(key)
        for known in (self._seen, self._custom):
            known.remove(state.site_id, state.subject)

    def _delete_first(self) -> bool:
        """Delete the least recently seen state; return False if there is none."""
        first = self._deadlines.earliest_state(self._states, lambda state: state.seen_ms + KEPT_MS)
        if first is not None:
            self._delete(*first)
        return first is not None

    def _get(self, key: bytes) -> AlertState | None:
        state = self._states.get(key)
        if state is None or self._ceiling_ms is None:
            return state
        return limit_times(state, self._ceiling_ms)

    def _put(self, key: bytes, state: AlertState) -> None:
        if self._states.get(key) is None:
            self._deadlines.set(key, state.seen_ms + KEPT_MS)
        self._states.put(key, state)

    def _limit_fingerprints(self, site_id: str) -> None:
        for oldest in self._seen.excess(site_id, MAX_FINGERPRINTS, MAX_UNSEEN_RATES):
            keys = [_key(site_id, rule, oldest) for rule in (ERROR_NEW, ERROR_RATE)]
            if any(self._states.is_changed(key) for key in keys):
                return  # thousands in one batch: the next batch evicts them
            self._seen.remove(site_id, oldest)
            for key in keys:
                if self._states.get(key) is not None:
                    self._states.delete(key)

    def _limit_custom(self, site_id: str) -> None:
        """Evict custom rates beyond the limit, which include those of deleted subscriptions."""
        for oldest in self._custom.excess(site_id, MAX_CUSTOM_RATES, MAX_UNSEEN_RATES):
            key = _key(site_id, ERROR_RATE, oldest)
            if self._states.is_changed(key):
                return
            self._custom.remove(site_id, oldest)
            self._states.delete(key)


def _key(site_id: str, rule: str, subject: str) -> bytes:
    return f"{site_id}:{rule}:{subject}".encode()
