"""Custom error rates: subscriptions with other parameters than the rule of every site.

Their alerts and states have subjects that start with the id of the subscription. Other
subscriptions receive the alerts of every site's rules, filtered on delivery.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from schemas.alert_rules import ErrorRateParams, non_defaults, read_params
from schemas.records import Subscription
from streams.domain.alerts.error_rates import Rate

_MINUTE_MS = 60_000
#: Separates the subscription's id from the rest of the subject; not part of fingerprints.
_SEPARATOR = ":"
_WHOLE_SITE = "*"


def is_custom(subject: str) -> bool:
    """Return True if an `error.rate` subject is that of a custom rate."""
    return _SEPARATOR in subject


class CustomRate(NamedTuple):
    """The error rate of one subscription."""

    subscription_id: str
    params: ErrorRateParams

    def subject(self, fingerprint: str) -> str:
        """Return the subject that counts an error of this fingerprint."""
        about = fingerprint if self.params.per == "fingerprint" else _WHOLE_SITE
        return f"{self.subscription_id}{_SEPARATOR}{about}"

    def rate(self) -> Rate:
        """Return the rate without a pause, because the subscription has a cooldown."""
        window_ms = self.params.minutes * _MINUTE_MS
        return Rate(self.params.count, window_ms, subscription_id=self.subscription_id)


class Subscriptions:
    """The last record of each subscription, by site."""

    def __init__(self) -> None:
        self._last: dict[str, Subscription] = {}
        self._rates: defaultdict[str, dict[str, CustomRate]] = defaultdict(dict)

    def error_rates(self, site_id: str) -> Iterator[CustomRate]:
        """Yield the custom rates of a site."""
        yield from self._rates.get(site_id, {}).values()

    def put(self, subscription_id: str, subscription: Subscription | None) -> None:
        """Apply a record of a subscription; None deletes it.

        A record older than the last one is ignored. Raises `BadParamsError` or `ValueError`,
        without effect, for invalid parameters.
        """
        known = self._last.get(subscription_id)
        if subscription is None:
            self._drop(subscription_id)
        elif known is None or known.updated_at <= subscription.updated_at:
            params = read_params(subscription.rule, json.loads(subscription.params))
            self._drop(subscription_id)
            self._last[subscription_id] = subscription
            if (
                subscription.enabled
                and non_defaults(params)
                and isinstance(params, ErrorRateParams)
            ):
                rate = CustomRate(subscription_id, params)
                self._rates[subscription.site_id][subscription_id] = rate

    def _drop(self, subscription_id: str) -> None:
        known = self._last.pop(subscription_id, None)
        if known is None:
            return
        of_site = self._rates.get(known.site_id, {})
        of_site.pop(subscription_id, None)
        if not of_site:
            self._rates.pop(known.site_id, None)
