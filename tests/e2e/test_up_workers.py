"""`headrace up` with several workers of a role."""

import signal
import time
import urllib.request
from functools import partial

import pytest

from headrace.roles.status import read_status
from tests.e2e.conftest import MakeStack
from tests.e2e.operating import has_good, post_good, status
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(480)

_OPTIONS = ("--web", "2", "--streams", "2", "--sinks", "2")
_WORKERS = ("web", "web-2", "streams", "streams-2", "live", "sinks", "sinks-2")
#: Workers that die at the same time, while others of their role continue.
_DYING = (("web", "streams", "live", "sinks"), ("web-2", "streams-2", "sinks-2"))


def _accepted(stack: Stack) -> dict[str, float]:
    """Return the number of accepted page views by web process."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=10) as response:  # noqa: S310
        lines = response.read().decode().splitlines()
    name = "headrace_api_events_accepted_total{"
    found = [line for line in lines if line.startswith(name) and 'type="pageview"' in line]
    return {
        "web-2" if 'process="web-2"' in line else "web": float(line.rpartition(" ")[2])
        for line in found
    }


def _is_ready(stack: Stack, worker: str, since: float) -> bool:
    """Return True if a worker has reported after this time that it is ready."""
    found = read_status(stack.data_dir / "run" / f"{worker}.json")
    return found is not None and found.at > since and found.not_ready is None


def test_any_worker_may_die_and_every_event_counts_once(make_stack: MakeStack) -> None:
    """The first one of a role as well as the others; each has a process, a log and metrics."""
    stack = make_stack({}, *_OPTIONS)
    for _ in range(10):  # the kernel distributes connections
        post_good(stack)
    eventually(
        lambda: sum(_accepted(stack).values()) == 2_000,
        within_seconds=30,
        what="/metrics of any web process has the counters of both",
    )
    assert set(_accepted(stack)) == {"web", "web-2"}
    sent = 2_000
    for dying in _DYING:
        post_good(stack)
        sent += 200
        before = {worker: stack.pid(worker) for worker in dying}
        for worker in dying:
            stack.send(worker, signal.SIGKILL)
        for worker, pid in before.items():
            stack.until_replaced(worker, pid)
        restarted_at = time.time()
        for worker in dying:
            eventually(
                partial(_is_ready, stack, worker, restarted_at),
                within_seconds=90,
                what=f"{worker} is ready after it was killed",
            )
    eventually(lambda: has_good(stack, sent), within_seconds=90, what=f"{sent} events are counted")

    roles = {role["name"]: role for role in status(stack)[1]["roles"]}
    assert set(roles) == {"kafka", *_WORKERS}
    assert all(roles[name]["process"] == stack.pid(name) for name in roles)
    assert roles["streams"]["workers"] == roles["sinks"]["workers"] == 2
    assert all((stack.data_dir / "logs" / f"{name}.log").exists() for name in roles)

    assert stack.stop() == 0
    stopped = [line.split()[1] for line in stack.screen.splitlines() if line.startswith("  - ")]
    assert stopped == [*_WORKERS, "kafka"]
    assert stack.processes() == []
