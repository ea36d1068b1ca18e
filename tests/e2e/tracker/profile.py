"""`python -m tests.e2e.tracker.profile`: print how long the tracker occupies the main thread.

The figures are CPU times of a trace, which the other load of the machine does not change much.
"""

import json
import statistics
from collections.abc import Iterator
from typing import Any

from selenium.webdriver import Chrome

from tests.e2e.tracker.collector import open_collector
from tests.e2e.tracker.shop import open_shop, tag_of
from tests.e2e.tracker.visitor import Visitor
from tests.fixtures import chromium

_ROUNDS = 10
_SCRIPT = "/script.full.js"
#: What runs on the main thread; scripts are parsed on another.
_TASKS = {"EvaluateScript", "FunctionCall"}


def main() -> None:
    """Print the longest task, and the total of a page, over several rounds."""
    longest, totals = [], []
    with (
        chromium.started(traces="devtools.timeline") as chrome,
        open_collector() as collector,
        open_shop(collector.url, tag_of(collector.url)) as shop,
    ):
        visitor = Visitor(chrome, shop)
        for _ in range(_ROUNDS):
            _use_page(visitor)
            tasks = list(_tasks_ms(chrome))
            longest.append(max(tasks))
            totals.append(sum(tasks))
    print(f"longest task: {_summary(longest)}; all tasks of a page: {_summary(totals)}")  # noqa: T201


def _use_page(visitor: Visitor) -> None:
    visitor.open("/")
    for part in (0.3, 0.6, 1, 0):
        visitor.scroll(part)
    for button in ("buy", "signup", "hash", "step", "throw-string"):
        visitor.click(button)
    visitor.look_at_another_tab()
    visitor.leave()


def _tasks_ms(chrome: Chrome) -> Iterator[float]:
    """Yield the CPU time of each task of the tracker since the last call, in milliseconds."""
    for entry in chrome.get_log("performance"):  # type: ignore[no-untyped-call]
        message: dict[str, Any] = json.loads(entry["message"])["message"]
        if message["method"] != "Tracing.dataCollected":
            continue
        event = message["params"]
        if event["name"] in _TASKS and _SCRIPT in event["args"].get("data", {}).get("url", ""):
            yield event["tdur"] / 1000


def _summary(values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.1f} ms ({low:.1f}-{high:.1f})"


if __name__ == "__main__":
    main()
