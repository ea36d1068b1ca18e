"""Live numbers that are too low after a restart are marked as stalled."""

import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from schemas.live import COUNTED_SECONDS, STALLED_SECONDS
from tests.e2e.conftest import MakeStack
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

SITE = "busy"
#: Events that were accepted earlier are counted, or the response is marked as stalled.
_SEEN_SECONDS = STALLED_SECONDS + 2 * COUNTED_SECONDS


class Watched:
    """Sends new sessions of a site and polls its live numbers."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._token = (stack.data_dir / "owner.token").read_text().strip()
        self._is_over = threading.Event()
        #: When each session was accepted.
        self.accepted: list[float] = []
        #: The times and responses of the requests.
        self.responses: list[tuple[float, dict[str, Any]]] = []

    def live(self, site_id: str = SITE) -> dict[str, Any] | None:
        """Return the live numbers; None without a response."""
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{self._stack.url}/api/sites/{site_id}/live",
            headers={"authorization": f"Bearer {self._token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
                content: dict[str, Any] = json.load(response)
                return content
        except OSError:
            return None

    @property
    def is_complete(self) -> bool:
        """Whether the numbers are not marked as stalled."""
        live = self.live()
        return live is not None and "stalled_since" not in live

    def watch_for(self, seconds: float) -> None:
        """Check for `seconds` that the numbers are never marked as stalled."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.is_complete

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send and poll in background threads."""
        threads = [threading.Thread(target=work) for work in (self._send, self._poll)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def wrong(self) -> list[tuple[float, int, dict[str, Any]]]:
        """Return responses that are too low but not marked, with the correct minimum."""
        wrong = []
        for at, live in self.responses:
            minimum = sum(at - 290 < sent < at - _SEEN_SECONDS for sent in self.accepted)
            if live["sessions_now"] < minimum and "stalled_since" not in live:
                wrong.append((at, minimum, live))
        return wrong

    def _send(self) -> None:
        while not self._is_over.wait(0.2):
            event = {"type": "pageview", "site_id": SITE, "session_id": f"s-{time.time_ns()}"}
            try:
                if self._stack.post(event)[0] == 202:
                    self.accepted.append(time.time())
            except OSError:
                continue

    def _poll(self) -> None:
        while not self._is_over.wait(0.1):
            at = time.time()
            if (live := self.live()) is not None:
                self.responses.append((at, live))


@pytest.mark.parametrize("restart", ["live", "streams", "web", "kafka", "stop", "crash"])
def test_numbers_that_are_too_low_are_marked(make_stack: MakeStack, restart: str) -> None:
    """From the first response after a restart until everything is counted again."""
    stack = make_stack({})
    watched = Watched(stack)
    with watched.running():
        eventually(lambda: len(watched.accepted) > 20, within_seconds=30, what="events are sent")
        if restart == "stop":
            assert stack.stop() == 0
            stack.start()
        elif restart == "crash":
            stack.crash()
            stack.start()
        else:
            stack.kill(restart)
        restarted = len(watched.accepted)
        eventually(
            lambda: len(watched.accepted) > restarted + 20 and watched.is_complete,
            within_seconds=90,
            what="the numbers are complete again",
        )

    assert watched.wrong() == []
    eventually(
        lambda: (watched.live() or {}).get("sessions_now") == len(watched.accepted),
        within_seconds=30,
        what="all are counted",
    )


def test_a_site_where_nothing_happens_is_not_stalled(make_stack: MakeStack) -> None:
    """Its zero is not marked, also after a restart."""
    stack = make_stack({})
    watched = Watched(stack)
    for _ in range(2):
        eventually(lambda: watched.is_complete, within_seconds=30, what="the zero is not marked")
        watched.watch_for(2 * STALLED_SECONDS)
        live = watched.live("nobody")
        assert live is not None
        assert live["sessions_now"] == 0
        assert stack.stop() == 0
        stack.start()


def test_without_a_live_worker_numbers_stay_stalled(make_stack: MakeStack) -> None:
    """The numbers stay marked, and `/readyz` reports it."""
    stack = make_stack({})
    watched = Watched(stack)
    eventually(lambda: watched.is_complete, within_seconds=30, what="the numbers are complete")
    live = stack.pid("live")
    assert live is not None
    os.kill(live, signal.SIGSTOP)
    try:
        eventually(
            lambda: not watched.is_complete, within_seconds=30, what="the numbers are stalled"
        )
        eventually(lambda: "live" in stack.why_not_ready, within_seconds=30, what="not ready")
        stack.kill("web")
        eventually(
            lambda: (watched.live() or {}).get("stalled_since"),
            within_seconds=30,
            what="the numbers are still stalled",
        )
    finally:
        os.kill(live, signal.SIGCONT)
    eventually(
        lambda: watched.is_complete, within_seconds=60, what="the numbers are complete again"
    )
