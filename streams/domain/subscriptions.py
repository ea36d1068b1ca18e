"""What subscriptions ask of the rules of their sites, beside what is on for every site.

A subscription whose parameters are those of every site asks for nothing here: it is told of
the alerts that are raised anyway. One with others has alerts, and states, of its own: their
subject begins with its id.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from schemas.alert_rules import ErrorRateParams, PaymentParams, read_params, told
from schemas.headers import Source
from schemas.records import Alert, RawEvent, Subscription
from streams.domain import alerts
from streams.domain.alerts import Rate

_MINUTE_MS = 60_000
#: Between the subscription's id and what it is about; no fingerprint has it.
_SEPARATOR = ":"
_WHOLE_SITE = "*"


def is_asked_for(subject: str) -> bool:
    """Tell whether an `error.rate` subject is of a subscription, not of every site's rule."""
    return _SEPARATOR in subject


class AskedPayment(NamedTuple):
    """Payments as one subscription wants them."""

    subscription_id: str
    params: PaymentParams

    def payment(self, event: RawEvent, src: Source) -> Alert | None:
        """Return the alert of a payment that is large enough and in the right currency."""
        least, currency = self.params.min_amount, self.params.currency
        if least is not None and (event.amount is None or event.amount < least):
            return None
        if currency is not None and (event.currency or "").upper() != currency:
            return None
        subject = f"{self.subscription_id}{_SEPARATOR}{event.session_id}"
        return alerts.payment(event, src, subject, self.subscription_id)


class AskedRate(NamedTuple):
    """Too many errors as one subscription means it."""

    subscription_id: str
    params: ErrorRateParams

    def subject(self, fingerprint: str) -> str:
        """Return what an error of this fingerprint is counted under."""
        about = fingerprint if self.params.per == "fingerprint" else _WHOLE_SITE
        return f"{self.subscription_id}{_SEPARATOR}{about}"

    def rate(self) -> Rate:
        """Return the rate; one alert a window, for the subscription has a cooldown."""
        window_ms = self.params.minutes * _MINUTE_MS
        return Rate(self.params.count, window_ms, whose=self.subscription_id)


class Subscriptions:
    """The subscriptions of all sites, as the last record of each has them."""

    def __init__(self) -> None:
        self._last: dict[str, Subscription] = {}
        self._payments: defaultdict[str, dict[str, AskedPayment]] = defaultdict(dict)
        self._rates: defaultdict[str, dict[str, AskedRate]] = defaultdict(dict)

    def payments(self, site_id: str) -> Iterator[AskedPayment]:
        """Yield the payments that the site's subscriptions ask for."""
        yield from self._payments.get(site_id, {}).values()

    def error_rates(self, site_id: str) -> Iterator[AskedRate]:
        """Yield the rates that the site's subscriptions ask for."""
        yield from self._rates.get(site_id, {}).values()

    def put(self, subscription_id: str, subscription: Subscription | None) -> None:
        """Take in the next record of a subscription; None: it is gone.

        One older than what is known is a late copy. Raises `BadParamsError` or `ValueError`,
        without effect, for parameters that are none.
        """
        known = self._last.get(subscription_id)
        if subscription is None:
            self._drop(subscription_id)
        elif known is None or known.updated_at <= subscription.updated_at:
            params = read_params(subscription.rule, json.loads(subscription.params))
            self._drop(subscription_id)
            self._last[subscription_id] = subscription
            if subscription.enabled and told(params):
                self._ask(subscription.site_id, subscription_id, params)

    def _ask(self, site_id: str, subscription_id: str, params: object) -> None:
        if isinstance(params, PaymentParams):
            self._payments[site_id][subscription_id] = AskedPayment(subscription_id, params)
        elif isinstance(params, ErrorRateParams):
            self._rates[site_id][subscription_id] = AskedRate(subscription_id, params)

    def _drop(self, subscription_id: str) -> None:
        known = self._last.pop(subscription_id, None)
        if known is None:
            return
        for by_site in (self._payments, self._rates):
            of_site = by_site.get(known.site_id, {})
            of_site.pop(subscription_id, None)
            if not of_site:
                by_site.pop(known.site_id, None)
