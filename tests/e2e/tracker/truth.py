"""The visible time of each view, computed from what the site's pages reported about themselves."""

from collections import defaultdict
from typing import Any


def visible_ms(life: list[dict[str, Any]]) -> dict[str, float]:
    """Return the visible time of each path, in milliseconds.

    The first view of a page is visible from the start of its navigation, or from its activation.
    """
    total: dict[str, float] = defaultdict(float)
    pages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for report in life:
        pages[report["page"]].append(report)
    for reports in pages.values():
        for path, milliseconds in _stretches(reports):
            total[path] += milliseconds
    return dict(total)


def _stretches(reports: list[dict[str, Any]]) -> list[tuple[str, float]]:
    # Beacons may overtake each other.
    ordered = sorted(reports, key=lambda report: report["at"])
    first = ordered[0]
    since = first["activationStart"] if first["visible"] else None
    path = first["path"]
    found = []
    for report in ordered[1:]:
        is_visible = report["visible"] and report["kind"] != "pagehide"
        if since is not None and (not is_visible or report["path"] != path):
            found.append((path, report["at"] - since))
            since = None
        if is_visible and since is None:
            since = report["at"]
        path = report["path"]
    return found
