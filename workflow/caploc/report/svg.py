"""From a chart to SVG that lives inside the page: no script, no clash of ids, one spoken label."""

import re

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from caploc.report.palette import AXIS, GRID, INK, SOFT

__all__ = ["THEME", "inline_svg"]

THEME = {
    "background": None,
    # Browsers may have wider letters than the drawing program: leave labels room on the left.
    "padding": {"left": 18, "right": 8, "top": 8, "bottom": 8},
    "font": "sans-serif",
    "aria": False,  # hundreds of spoken marks help nobody: the whole figure carries one label
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT, "titleColor": INK, "gridColor": GRID, "domainColor": AXIS,
        "tickColor": AXIS, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal",
        "labelLimit": 150,
        "labelFlush": False,
    },
    "title": {"color": INK, "fontSize": 12, "fontWeight": 600, "anchor": "start"},
}  # fmt: skip


def inline_svg(chart: alt.TopLevelMixin, name: str, label: str) -> Markup:
    """Draw a chart.

    Args:
        chart: any Altair chart.
        name: unique on the page; becomes part of every id inside the drawing.
        label: what a screen reader says in place of the drawing.

    Returns:
        An ``<svg>`` element; its text comes from Vega, which escapes it. A mark with a description
        carries it as its title.
    """
    text = vl_convert.vegalite_to_svg({**chart.to_dict(), "config": THEME})
    head, _, body = text.partition(">")
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', head)
    if size is None:
        raise ValueError(f"the drawing {name!r} has no size: {head}")
    width, height = size.groups()
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    # Vega prints 15 digits of a pixel; two are enough and make the page a third smaller.
    body = re.sub(r'\b(?:d|transform)="[^"]*"', _rounded, body)
    body = _MARK.sub(_titled, body)
    body = re.sub(r' (?:aria-hidden|pointer-events|font-family)="[^"]*"', "", body)
    return Markup(
        f'<svg class="chart" id="{name}" role="img" aria-label="{escape(label)}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">{body}'
    )


_MARK = re.compile(
    r'<path aria-label="(?P<label>[^"]*)" role="[^"]*" aria-roledescription="[^"]*"'
    r"(?P<rest>[^>]*)/>"
)


def _titled(match: re.Match[str]) -> str:
    """A described mark with its description as a title, which browsers show on hovering."""
    return f"<path{match['rest']}><title>{match['label']}</title></path>"


def _rounded(match: re.Match[str]) -> str:
    return re.sub(r"-?\d+\.\d{3,}(?:e-\d+)?", lambda m: f"{float(m[0]):.2f}", match[0])
