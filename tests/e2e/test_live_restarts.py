"""No live numbers that are too low without saying so, whatever is killed or started again."""

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
#: What was accepted earlier is counted, or the answer says that it is not.
_SEEN_SECONDS = STALLED_SECONDS + 2 * COUNTED_SECONDS


class Watched:
    """A site with new sessions all the time, and what its live numbers were, asked all the time."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._token = (stack.data_dir / "owner.token").read_text().strip()
        self._over = threading.Event()
        #: When each session was accepted.
        self.accepted: list[float] = []
        #: When it was asked, and what was answered.
        self.answers: list[tuple[float, dict[str, Any]]] = []

    def live(self, site_id: str = SITE) -> dict[str, Any] | None:
        """Return the live numbers; None while nobody answers."""
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{self._stack.url}/api/sites/{site_id}/live",
            headers={"authorization": f"Bearer {self._token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return None

    @property
    def is_complete(self) -> bool:
        """Whether the numbers are said to be complete."""
        live = self.live()
        return live is not None and "stalled_since" not in live

    def watch_for(self, seconds: float) -> None:
        """Ask for so long, and see that the numbers are said to be complete all the time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.is_complete

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Send and ask in the background."""
        threads = [threading.Thread(target=work) for work in (self._send, self._ask)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def wrong(self) -> list[tuple[float, int, dict[str, Any]]]:
        """Return the answers that are too low and do not say so, with what would be right."""
        found = []
        for at, live in self.answers:
            least = sum(at - 290 < one < at - _SEEN_SECONDS for one in self.accepted)
            if live["sessions_now"] < least and "stalled_since" not in live:
                found.append((at, least, live))
        return found

    def _send(self) -> None:
        while not self._over.wait(0.2):
            event = {"type": "pageview", "site_id": SITE, "session_id": f"s-{time.time_ns()}"}
            try:
                if self._stack.post(event)[0] == 202:
                    self.accepted.append(time.time())
            except OSError:
                continue

    def _ask(self) -> None:
        while not self._over.wait(0.1):
            at = time.time()
            if (live := self.live()) is not None:
                self.answers.append((at, live))


@pytest.mark.parametrize("restart", ["live", "streams", "web", "kafka", "stop", "crash"])
def test_numbers_that_are_too_low_say_so(make_stack: MakeStack, restart: str) -> None:
    """From the first answer after a restart on, until everything is counted again."""
    stack = make_stack({})
    watched = Watched(stack)
    with watched.going_on():
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
    """A true zero is one, also after a restart, and stays one."""
    stack = make_stack({})
    watched = Watched(stack)
    for _ in range(2):
        eventually(lambda: watched.is_complete, within_seconds=30, what="it is a true zero")
        watched.watch_for(2 * STALLED_SECONDS)
        live = watched.live("nobody")
        assert live is not None
        assert live["sessions_now"] == 0
        assert stack.stop() == 0
        stack.start()


def test_without_a_worker_that_counts_it_stays_stalled(make_stack: MakeStack) -> None:
    """However long; and the whole is not ready."""
    stack = make_stack({})
    watched = Watched(stack)
    eventually(lambda: watched.is_complete, within_seconds=30, what="it is counted")
    live = stack.pid("live")
    assert live is not None
    os.kill(live, signal.SIGSTOP)
    try:
        eventually(lambda: not watched.is_complete, within_seconds=30, what="it says so")
        eventually(lambda: "live" in stack.why_not_ready, within_seconds=30, what="not ready")
        stack.kill("web")
        eventually(
            lambda: (watched.live() or {}).get("stalled_since"), within_seconds=30, what="still"
        )
    finally:
        os.kill(live, signal.SIGCONT)
    eventually(lambda: watched.is_complete, within_seconds=60, what="it is counted again")
