"""The life of subscriptions: what HTTP asks of them."""

from collections.abc import Mapping, Sequence
from typing import Any

Body = Mapping[str, Any]
Answer = dict[str, Any]


class Invalid(ValueError):
    """A field of a request is wrong; `sentence` says what would be right."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.sentence = sentence


class Unavailable(Exception):
    """Kafka or the database did not answer in time: nothing was promised, ask again."""


class Subscriptions:
    """Creates, lists, changes, deletes, tests; made by `open_subscriptions`.

    A subscription is a dict as api.md section 2 shows it:
    `{"subscription_id","site_id","rule","params","channel":{"type","url"},"cooldown_seconds",
    "enabled","disabled_reason","created_at","updated_at"}`; `secret` is in `create`'s answer
    only. A list is `{"items":[…],"next_cursor":…}`, newest first. All methods raise
    `Unavailable`; who calls has checked that the token may see the site (`get` tells it).
    """

    async def create(self, site_id: str, body: Body) -> Answer:
        """Return the new subscription with its `secret`; `Invalid` names the field."""
        raise NotImplementedError

    async def list(self, sites: Sequence[str] | None, limit: int, cursor: str | None) -> Answer:
        """Return the subscriptions of these sites (None: of all); `Invalid` for a bad cursor."""
        raise NotImplementedError

    async def get(self, subscription_id: str) -> Answer | None:
        """Return the subscription, or None when there is none."""
        raise NotImplementedError

    async def patch(self, subscription_id: str, body: Body) -> Answer | None:
        """Change `params`, `channel`, `cooldown_seconds`, `enabled`; None when there is none."""
        raise NotImplementedError

    async def delete(self, subscription_id: str) -> bool:
        """Delete it and cancel what is on its way; False when there is none."""
        raise NotImplementedError

    async def test(self, subscription_id: str) -> Answer | None:
        """Send a test through the same delivery; return the delivery, None without a one."""
        raise NotImplementedError

    async def deliveries(self, subscription_id: str, limit: int, cursor: str | None) -> Answer:
        """Return its deliveries, newest first, each with its list of `attempts`."""
        raise NotImplementedError

    async def resend(self, subscription_id: str, delivery_id: str) -> Answer | None:
        """Send a delivery again, from the start of the schedule; None when there is none."""
        raise NotImplementedError
