"""Figures of the page as files of their own, for papers: SVG with its legend, light colours."""

import re
from collections.abc import Mapping, Sequence

from markupsafe import escape

from caploc.experiments.erasure.report import DOSE_SERIES
from caploc.report.palette import INK, SERIES, SHARING, Series

__all__ = ["figures_of"]

_CHART = re.compile(
    r'<svg class="chart" id="(?P<id>[^"]+)" role="img" aria-label="(?P<label>[^"]*)" '
    r'width="(?P<width>[\d.]+)" height="(?P<height>[\d.]+)"[^>]*>(?P<body>.*?)</svg>',
    flags=re.S,
)
# Series by the part of a figure's name that says what it draws.
_LEGENDS: Mapping[str, Sequence[Series]] = {
    "agreement": SERIES, "size": SERIES, "sigma": SERIES, "map": SHARING, "dose": DOSE_SERIES,
}  # fmt: skip
_LINE = 18  # pixels of a line of the legend
_LETTER = 6.2  # width of a letter of 11 pixels, roughly: it decides the width of the canvas only


def figures_of(page: str) -> dict[str, str]:
    """Every figure of a page.

    Args:
        page: HTML as `render` made it.

    Returns:
        SVG documents by name, in the order of the page; each opens by itself.
    """
    return {found["id"]: _document(found) for found in _CHART.finditer(page)}


def _document(found: re.Match[str]) -> str:
    width, height = float(found["width"]), float(found["height"])
    kind = next((k for k in found["id"].split("-") if k in _LEGENDS), "")
    series = _LEGENDS.get(kind, ())
    # The label is markup already.
    parts = [f"<desc>{found['label']}</desc>", found["body"]]
    for i, one in enumerate(series):
        parts.append(_legend_line(one, height + _LINE * (i + 0.5)))
        width = max(width, 40 + _LETTER * len(one.label))
    height += _LINE * len(series)
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _legend_line(one: Series, y: float) -> str:
    colour, shapes = one.colour, []
    if one.dash:
        dashes = " ".join(map(str, one.dash))
        shapes.append(
            f'<line x1="4" y1="{y:g}" x2="30" y2="{y:g}" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dashes}"/>'
        )
    drawn = {
        "circle": f'<circle cx="17" cy="{y:g}" r="4.5" fill="{colour}"/>',
        "square": f'<rect x="13" y="{y - 4:g}" width="8" height="8" fill="{colour}"/>',
        "diamond": f'<path d="M17 {y - 5.5:g}l5.5 5.5l-5.5 5.5l-5.5 -5.5Z" fill="{colour}"/>',
        "triangle-up": f'<path d="M17 {y - 5:g}l5 9.5h-10Z" fill="{colour}"/>',
        "stroke": f'<path d="M17 {y - 6:g}v12" stroke="{colour}" stroke-width="2"/>',
    }
    shapes.append(drawn.get(one.shape, ""))
    text = f'<text x="38" y="{y + 4:g}" font-size="11px" fill="{INK}">{escape(one.label)}</text>'
    return "".join(shapes) + text
