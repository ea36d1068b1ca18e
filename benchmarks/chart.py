"""A bar chart in SVG: CPU time, or what a work shows, of each candidate; a line for its spread."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _LEFT, _RIGHT = 760, 250, 90
_ROW, _HEAD, _GAP = 24, 26, 14
_BAR, _FIRST, _OTHER = 14, "#2a6f97", "#a9b4bd"
_STYLE = "text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600}"


def drawn(works: Sequence[Mapping[str, Any]]) -> str:
    """Return the chart of all works, one group of bars each, each with a scale of its own."""
    y, parts = 8, []
    for work in works:
        parts += _group(work, y)
        y += _HEAD + _ROW * len(_present(work)) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img">'
        f'<style>{_STYLE}</style><rect width="{_WIDTH}" height="{y}" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _group(work: Mapping[str, Any], y: int) -> list[str]:
    candidates = _present(work)
    shown = work["shown"] or next(iter(candidates[0]["figures"]))
    scale = (_WIDTH - _LEFT - _RIGHT) / max(one["figures"][shown]["high"] for one in candidates)
    title = escape(f"{work['title']}: {shown}")
    parts = [f'<text class="title" x="8" y="{y + 16}">{title}</text>']
    for index, candidate in enumerate(candidates):
        color = _OTHER if index else _FIRST
        cost, top = candidate["figures"][shown], y + _HEAD + _ROW * index
        parts += _bar(candidate["name"], cost, scale, top, color)
    return parts


def _present(work: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [candidate for candidate in work["candidates"] if "figures" in candidate]


def _bar(name: str, cost: Mapping[str, float], scale: float, y: int, color: str) -> list[str]:
    (low, middle, high) = (_LEFT + cost[of] * scale for of in ("low", "median", "high"))
    line = y + _BAR / 2
    return [
        f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{middle - _LEFT:.1f}" height="{_BAR}" fill="{color}"/>',
        f'<path d="M{low:.1f} {line}H{high:.1f}" stroke="#333"/>',
        f'<text x="{high + 6:.1f}" y="{y + 12}">{cost["median"]:.3g}</text>',
    ]
