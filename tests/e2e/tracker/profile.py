"""`python -m tests.e2e.tracker.profile`: print how long the tracker occupies the main thread.

The figures are of the CPU profiler: time in the tracker's functions and in what they call.
"""

import re
import statistics
from collections.abc import Iterator
from typing import Any

from selenium.webdriver import Chrome

from tests.e2e.tracker.collector import open_collector
from tests.e2e.tracker.shop import open_shop, tag_of
from tests.e2e.tracker.visitor import Visitor
from tests.fixtures import chromium

_ROUNDS = 10
_SAMPLE_US = 50
_IDLE = {"(idle)", "(program)", "(root)"}


def tasks_ms(profile: dict[str, Any], script: str) -> list[float]:
    """Return the duration of each uninterrupted run of samples in a script, in milliseconds."""
    found: list[float] = []
    is_running = False
    nodes = {node["id"]: node for node in profile["nodes"]}
    parents = {child: node for node in profile["nodes"] for child in node.get("children", [])}
    for node_id, delta in zip(profile["samples"], profile["timeDeltas"], strict=True):
        if is_running:
            found[-1] += delta / 1000
        is_in_script = any(re.search(script, url) for url in _urls(nodes[node_id], parents))
        if is_in_script and not is_running:
            found.append(0.0)
        is_running = is_in_script
    return found


def _urls(node: dict[str, Any], parents: dict[int, dict[str, Any]]) -> Iterator[str]:
    while node["callFrame"]["functionName"] not in _IDLE:
        yield node["callFrame"]["url"]
        node = parents[node["id"]]


def measure(chrome: Chrome, visitor: Visitor) -> list[float]:
    """Profile a page that is loaded, scrolled, clicked and left; return the tracker's tasks."""
    visitor.open("/later")  # in the process that the next page is loaded in
    for method, parameters in (
        ("Profiler.enable", {}),
        ("Profiler.setSamplingInterval", {"interval": _SAMPLE_US}),
        ("Profiler.start", {}),
    ):
        chrome.execute_cdp_cmd(method, parameters)
    visitor.open("/")
    for part in (0.3, 0.6, 1, 0):
        visitor.scroll(part)
    for button in ("buy", "signup", "hash", "step", "throw-string"):
        visitor.click(button)
    visitor.look_at_another_tab()
    profile = chrome.execute_cdp_cmd("Profiler.stop", {})["profile"]
    return tasks_ms(profile, r"script(\.full)?\.js$")


def main() -> None:
    """Print the longest task, and the total of a page, over several rounds."""
    longest, totals = [], []
    with (
        chromium.started() as chrome,
        open_collector() as collector,
        open_shop(collector.url, tag_of(collector.url)) as shop,
    ):
        visitor = Visitor(chrome, shop)
        for _ in range(_ROUNDS):
            tasks = measure(chrome, visitor)
            assert tasks, "the profile has no samples of the tracker"
            longest.append(max(tasks))
            totals.append(sum(tasks))
    print(f"longest task: {_summary(longest)}; all tasks of a page: {_summary(totals)}")  # noqa: T201


def _summary(values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.1f} ms ({low:.1f}-{high:.1f})"


if __name__ == "__main__":
    main()
