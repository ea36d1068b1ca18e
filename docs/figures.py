"""`python -m docs.figures` (`make docs`): draw docs/images/flow.svg, the path of an event.

Boxes are processes, topics and tables; arrows are the agents between them.
`tests/contract/docs/test_figures.py` fails when an agent or a topic is missing.
"""

from html import escape
from pathlib import Path
from typing import NamedTuple

FLOW = Path(__file__).parent / "images" / "flow.svg"

_WIDTH, _HEIGHT = 1280, 420
_BOX_WIDTH, _BOX_HEIGHT = 130, 40


class Box(NamedTuple):
    """A process, a topic or a table, at its centre (px)."""

    name: str
    x: int
    y: int
    kind: str
    note: str = ""


class Arrow(NamedTuple):
    """A flow from one box to another, with the agent or the request that moves the data."""

    source: str
    target: str
    label: str = ""
    #: The position of the label, from 0 (source) to 1 (target).
    at: float = 0.5
    #: The downward bend of the arrow (px).
    bend: int = 0


BOXES = (
    Box("browsers", 75, 150, "outside", "trackers"),
    Box("back ends", 75, 260, "outside", "payments"),
    Box("api", 225, 205, "process", "HTTP in"),
    Box("events-raw", 375, 205, "topic"),
    Box("events-session", 565, 90, "topic"),
    Box("events-pageleave", 565, 205, "topic"),
    Box("events-alert", 565, 300, "topic"),
    Box("live-counters", 820, 35, "topic"),
    Box("visits", 820, 87, "topic"),
    Box("sessions", 820, 140, "topic"),
    Box("page-durations", 820, 205, "topic"),
    Box("alerts", 820, 300, "topic"),
    Box("SQL", 1050, 205, "table", "SQLite, PostgreSQL"),
    Box("query", 1205, 110, "process", "HTTP out, SSE"),
    Box("webhooks", 1205, 300, "outside", "subscribers"),
)

ARROWS = (
    Arrow("browsers", "api"),
    Arrow("back ends", "api"),
    Arrow("api", "events-raw"),
    Arrow("events-raw", "events-session", "route_events", 0.52),
    Arrow("events-raw", "events-pageleave"),
    Arrow("events-raw", "events-alert"),
    Arrow("events-session", "live-counters", "count_live", 0.45),
    Arrow("events-session", "sessions", "sessionize", 0.55),
    Arrow("events-session", "visits"),
    Arrow("events-pageleave", "page-durations", "aggregate_durations"),
    Arrow("events-alert", "alerts", "raise_alerts"),
    Arrow("sessions", "SQL", "store_sessions"),
    Arrow("page-durations", "SQL", "store_durations"),
    Arrow("alerts", "SQL", "store_alerts", 0.45),
    Arrow("events-raw", "SQL", "store_events", 0.5, 215),
    Arrow("live-counters", "query"),
    Arrow("SQL", "query"),
    Arrow("SQL", "webhooks", "delivery"),
)

_STYLE = """
text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1f2933; text-anchor: middle }
.note, .label { font-size: 11px; fill: #52606d }
.label { paint-order: stroke; stroke: #fff; stroke-width: 5px; stroke-linejoin: round }
rect { stroke-width: 1.5 }
.topic rect { fill: #fff7e6; stroke: #c77700 }
.process rect { fill: #e6f2ff; stroke: #1668b8 }
.table rect { fill: #e8f7ee; stroke: #1b7f4b }
.outside rect { fill: none; stroke: #7b8794; stroke-dasharray: 4 3 }
path { fill: none; stroke: #7b8794; stroke-width: 1.5 }
marker path { fill: #7b8794; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb }
  .note, .label { fill: #9aa5b1 }
  .label { stroke: #0d1117 }
  .topic rect { fill: #3a2a06; stroke: #e0a33a }
  .process rect { fill: #0c2a47; stroke: #5aa9f0 }
  .table rect { fill: #0c3320; stroke: #4fc286 }
}
"""


def flow() -> str:
    """Return the SVG document."""
    boxes = {box.name: box for box in BOXES}
    arrows = "\n".join(_arrow(arrow, boxes) for arrow in ARROWS)
    drawn = "\n".join(_box(box) for box in BOXES)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">
<title>From events over HTTP, through Kafka topics, to SQL, HTTP out and webhooks</title>
<style>{_STYLE}</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>
{arrows}
{drawn}
</svg>
"""


def _box(box: Box) -> str:
    left, top = box.x - _BOX_WIDTH // 2, box.y - _BOX_HEIGHT // 2
    y = box.y - 1 if box.note else box.y + 5
    lines = f'<text x="{box.x}" y="{y}">{escape(box.name)}</text>'
    if box.note:
        lines += f'<text class="note" x="{box.x}" y="{box.y + 13}">{escape(box.note)}</text>'
    corner = 3 if box.kind == "topic" else 10
    return (
        f'<g class="{box.kind}"><rect x="{left}" y="{top}" width="{_BOX_WIDTH}" '
        f'height="{_BOX_HEIGHT}" rx="{corner}"/>{lines}</g>'
    )


def _arrow(arrow: Arrow, boxes: dict[str, Box]) -> str:
    source, target = boxes[arrow.source], boxes[arrow.target]
    if source.x == target.x:
        path = f"M{source.x} {source.y - _BOX_HEIGHT // 2}V{target.y + _BOX_HEIGHT // 2}"
        return f'<path d="{path}" marker-end="url(#head)"/>'
    if arrow.bend:
        x1, y1 = source.x, source.y + _BOX_HEIGHT // 2
        x2, y2 = target.x, target.y + _BOX_HEIGHT // 2
        c1, c2 = (x1, y1 + arrow.bend), (x2, y2 + arrow.bend)
    else:
        x1, y1 = source.x + _BOX_WIDTH // 2, source.y
        x2, y2 = target.x - _BOX_WIDTH // 2, target.y
        middle = (x1 + x2) // 2
        c1, c2 = (middle, y1), (middle, y2)
    path = f"M{x1} {y1}C{c1[0]} {c1[1]} {c2[0]} {c2[1]} {x2} {y2}"
    drawn = f'<path d="{path}" marker-end="url(#head)"/>'
    if arrow.label:
        points = zip((x1, y1), c1, c2, (x2, y2), strict=True)
        x, y = (_bezier(arrow.at, *values) for values in points)
        y += -6 if y1 == y2 and not arrow.bend else 4  # above a straight arrow
        drawn += f'<text class="label" x="{x:.0f}" y="{y:.0f}">{escape(arrow.label)}</text>'
    return drawn


def _bezier(at: float, *values: int) -> float:
    a, b, c, d = values
    rest = 1 - at
    return rest**3 * a + 3 * rest**2 * at * b + 3 * rest * at**2 * c + at**3 * d


if __name__ == "__main__":
    FLOW.parent.mkdir(exist_ok=True)
    FLOW.write_text(flow(), "utf-8")
