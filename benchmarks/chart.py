"""Bar charts in SVG. They show one column per workload, with a line for the range of the rounds."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _LEFT, _RIGHT = 760, 250, 90
_ROW, _HEAD, _GAP = 24, 26, 14
_BAR, _OURS, _OTHER = 14, "#2a6f97", "#a9b4bd"
_STYLE = "text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600}"


def render(workloads: Sequence[Mapping[str, Any]]) -> str:
    """Return the chart, with one group of bars per workload, each with its own scale."""
    y, parts = 8, []
    for workload in workloads:
        if not workload.get("is_charted", True):
            continue
        parts += _group(workload, y)
        y += _HEAD + _ROW * len(_measured(workload)) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img">'
        f'<style>{_STYLE}</style><rect width="{_WIDTH}" height="{y}" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def short(number: float) -> str:
    """Format a figure for readers, with three digits at least."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _group(workload: Mapping[str, Any], y: int) -> list[str]:
    candidates = _measured(workload)
    column = workload["chart_column"] or next(iter(candidates[0]["figures"]))
    highest = max(candidate["figures"][column]["high"] for candidate in candidates)
    scale = (_WIDTH - _LEFT - _RIGHT) / highest
    title = escape(f"{workload['title']}: {column}")
    parts = [f'<text class="title" x="8" y="{y + 16}">{title}</text>']
    for index, candidate in enumerate(candidates):
        is_ours = index == 0 or candidate["name"].startswith("headrace")
        color = _OURS if is_ours else _OTHER
        figure, top = candidate["figures"][column], y + _HEAD + _ROW * index
        parts += _bar(candidate["name"], figure, scale, top, color)
    return parts


def _measured(workload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [candidate for candidate in workload["candidates"] if "figures" in candidate]


def _bar(name: str, figure: Mapping[str, float], scale: float, y: int, color: str) -> list[str]:
    (low, middle, high) = (_LEFT + figure[key] * scale for key in ("low", "median", "high"))
    line = y + _BAR / 2
    return [
        f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{middle - _LEFT:.1f}" height="{_BAR}" fill="{color}"/>',
        f'<path d="M{low:.1f} {line}H{high:.1f}" stroke="#333"/>',
        f'<text x="{high + 6:.1f}" y="{y + 12}">{short(figure["median"])}</text>',
    ]
