"""Random traffic from a seed: some events are late, have wrong clocks or are invalid."""

import random
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from tests.faults import details

Event = dict[str, Any]

SITES = ("shop", "blog", "docs", "app")
#: Concurrent visitors; each is replaced by a new one after some events.
_VISITORS = 60
_TYPES = (
    *["pageview"] * 8,
    *["pageleave"] * 5,
    *["button_click", "custom_event", "form_submit", "copy", "external_link"],
    *["web_vitals", "identify", "payment", "error", "error"],
)
_PAGES = (*(f"/page/{number}" for number in range(40)), "/" + "p" * 2_048, "/grüße", "")
#: The share of events with optional fields.
_DETAILED = 0.4
_KNOWN_ERRORS = ("TypeError", "RangeError", "NetworkError")


class Sent(NamedTuple):
    """An event as a client sends it, and whether it must be accepted."""

    event_id: str
    body: Event
    is_valid: bool


class Traffic:
    """Endless requests; for the same seed they differ only in their times."""

    def __init__(self, seed: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._choose = random.Random(seed)  # noqa: S311 - a test's choice
        self._count = 0
        self._active = [self._new_visitor() for _ in range(_VISITORS)]

    def request(self) -> list[Sent]:
        """Return the events of the next request: one, or a small batch."""
        count = 1 if self._choose.random() < 0.6 else self._choose.randrange(2, 20)
        return [self.event() for _ in range(count)]

    def event(self) -> Sent:
        """Return an event of an active visitor."""
        visitor = self._choose.randrange(_VISITORS)
        body = self._event(self._active[visitor])
        if self._choose.random() < 0.06:
            self._active[visitor] = self._new_visitor()
        is_valid = self._choose.random() > 0.02
        if not is_valid:
            body = self._invalidated(body)
        return Sent(str(body["event_id"]).lower(), body, is_valid)

    def _new_visitor(self) -> Event:
        self._count += 1
        fields = {
            "site_id": self._choose.choice(SITES),
            "session_id": f"s-{self._count}-{self._word()}",
            "visitor_id": f"v-{self._choose.randrange(10_000)}",
        }
        if self._choose.random() < 0.3:
            fields["referrer"] = f"https://{self._word()}.example/"
        return fields

    def _event(self, visitor: Event) -> Event:
        kind = self._choose.choice(_TYPES)
        event: Event = {
            **visitor,
            "type": kind,
            "event_id": str(UUID(int=self._choose.getrandbits(128), version=4)),
            **self._times(),
            **self._own_fields(kind),
        }
        if self._choose.random() < 0.9:
            event["path"] = self._choose.choice(_PAGES)
        if kind == "pageview" and self._choose.random() < 0.2:
            event["utm"] = {"source": self._word(), "campaign": "winter"}
        if self._choose.random() < _DETAILED:
            event |= details.common(self._choose) | details.of_type(self._choose, kind)
        if self._choose.random() < 0.1:
            event["event_id"] = event["event_id"].upper()
        return event

    def _own_fields(self, kind: str) -> Event:
        choose = self._choose
        if kind == "pageleave" and choose.random() < 0.9:
            return {"duration": choose.choice([0, choose.randrange(200_000), 30_000_000])}
        if kind == "payment":
            return {"amount": f"{choose.randrange(1, 90_000) / 100:.2f}", "currency": "EUR"}
        if kind == "identify":
            return {"user_id": f"u-{self._word()}"}
        if kind == "error":
            name = choose.choice(_KNOWN_ERRORS) if choose.random() < 0.8 else self._word()
            return {"error_name": name, "error_message": f"failed at {choose.randrange(99)}"}
        return {}

    def _times(self) -> Event:
        """Return times of now, recent and out of order, long ago, or in the future."""
        dice = self._choose.random()
        now = datetime.fromtimestamp(self._clock(), UTC)
        if dice < 0.6:
            return {}
        if dice < 0.9:
            ago = timedelta(seconds=self._choose.random() * 10)
        else:
            ago = self._choose.choice(
                [
                    timedelta(minutes=1),
                    timedelta(hours=1),
                    timedelta(hours=25),
                    timedelta(hours=-1),
                    timedelta(days=-27_000),
                ]
            )
        times = {"timestamp": (now - ago).isoformat()}
        if self._choose.random() < 0.3:  # a wrong clock, corrected by `sent_at`
            wrong = timedelta(minutes=self._choose.randrange(-600, 600))
            times = {
                "timestamp": (now - ago + wrong).isoformat(),
                "sent_at": (now + wrong).isoformat(),
            }
        return times

    def _invalidated(self, event: Event) -> Event:
        wrong: list[Event] = [
            {"type": "no_such_type"},
            {"session_id": ""},
            {"site_id": "no site"},
            {"timestamp": "yesterday"},
            {"type": "pageleave", "duration": -1},
            {"title": 7},
        ]
        return {**event, **self._choose.choice(wrong)}

    def _word(self) -> str:
        return "".join(self._choose.choices(string.ascii_lowercase, k=8))
