"""From a chart to a drawing: inside the page, and as a file of its own, for papers.

Inside the page: no script, no clash of ids, one spoken label. As a file: with its legend, in light
colours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import altair as alt
import vl_convert

from caploc.report.palette import AXIS, GRID, INK, SOFT, Series

__all__ = ["THEME", "Drawing", "Panel", "inline_svg"]

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
_UNUSED = (
    "aria-hidden", "aria-label", "aria-roledescription", "font-family", "pointer-events", "role",
)  # fmt: skip
# What XML cannot hold, and line ends that only some programs take for such.
_UNPRINTABLE = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]"
)
_SVG = "http://www.w3.org/2000/svg"
_LINE = 18  # pixels of a line of the legend
_LETTER = 6.2  # width of a letter of 11 pixels, roughly: it decides the width of the canvas only


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn chart.

    Attributes:
        name: unique on the page; part of every id inside the drawing.
        label: what a screen reader says in place of the drawing.
        width: pixels.
        height: pixels.
        shapes: elements of the drawing.
        series: what the legend explains; the page shows one legend for several drawings.
    """

    name: str
    label: str
    width: float
    height: float
    shapes: Sequence[Element]
    series: Sequence[Series]

    def __html__(self) -> str:
        """The drawing as an element of a page."""
        size = self._size(self.width, self.height)
        spoken = {"role": "img", "aria-label": self.label}
        root = Element("svg", {"class": "chart", "id": self.name, **spoken, **size})
        root.extend(self.shapes)
        return ElementTree.tostring(root, encoding="unicode")

    def document(self) -> str:
        """The drawing as a file that opens by itself, with its legend below it."""
        width = max([self.width, *(40 + _LETTER * len(one.label) for one in self.series)])
        size = self._size(width, self.height + _LINE * len(self.series))
        root = Element("svg", {"xmlns": _SVG, **size, "font-family": "sans-serif"})
        SubElement(root, "rect", width="100%", height="100%", fill="#ffffff")
        SubElement(root, "desc").text = self.label
        root.extend(self.shapes)
        for i, one in enumerate(self.series):
            root.extend(_legend_line(one, self.height + _LINE * (i + 0.5)))
        return ElementTree.tostring(root, encoding="unicode") + "\n"

    @staticmethod
    def _size(width: float, height: float) -> dict[str, str]:
        box = f"0 0 {width:g} {height:g}"
        return {"width": f"{width:g}", "height": f"{height:g}", "viewBox": box}


@dataclass(frozen=True, slots=True)
class Panel:
    """A drawing, or the reason why there is none, with a note below it."""

    title: str
    svg: Drawing | None
    note: str = ""


def inline_svg(
    chart: alt.TopLevelMixin, name: str, label: str, series: Sequence[Series] = ()
) -> Drawing:
    """Draw a chart.

    Args:
        chart: any Altair chart. A mark with a description carries it as its title, which browsers
            show on hovering.
        name: unique on the page.
        label: what a screen reader says in place of the drawing.
        series: what the legend of the file explains.
    """
    text = vl_convert.vegalite_to_svg(_printable({**chart.to_dict(), "config": THEME}))
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        _tidy(element, name)
    return Drawing(
        name,
        _printable(label),
        float(root.attrib["width"]),
        float(root.attrib["height"]),
        list(root),
        series,
    )


def _printable(value: Any) -> Any:
    """The same without characters that no XML file can hold: the library dies of them."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list | tuple) else value


def _tidy(element: Element, name: str) -> None:
    attributes: dict[str, Any] = element.attrib
    described = attributes.get("aria-label")
    for unused in _UNUSED:
        attributes.pop(unused, None)
    if described is not None and element.tag == "path":  # a mark; others tell what they are
        SubElement(element, "title").text = described
    for key, value in attributes.items():
        if key == "id":
            attributes[key] = f"{name}-{value}"
        elif key in ("d", "transform"):
            # Vega prints 15 digits of a pixel; two are enough and make the page a third smaller.
            attributes[key] = re.sub(r"-?\d+\.\d{3,}(?:e-\d+)?", _rounded, value)
        else:
            attributes[key] = value.replace("url(#", f"url(#{name}-")


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}"


def _legend_line(one: Series, y: float) -> list[Element]:
    shapes = []
    if one.dash:
        line = {"x1": "4", "y1": f"{y:g}", "x2": "30", "y2": f"{y:g}", "stroke": one.colour}
        dashes = " ".join(map(str, one.dash))
        shapes.append(Element("line", line | {"stroke-width": "2", "stroke-dasharray": dashes}))
    if one.shape == "stroke":
        line = {"d": f"M17 {y - 6:g}v12", "stroke": one.colour, "stroke-width": "2"}
        shapes.append(Element("path", line))
    elif one.shape:
        path = {
            "circle": f"M12.5 {y:g}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
            "square": f"M13 {y - 4:g}h8v8h-8Z",
            "diamond": f"M17 {y - 5.5:g}l5.5 5.5l-5.5 5.5l-5.5 -5.5Z",
            "triangle-up": f"M17 {y - 5:g}l5 9.5h-10Z",
        }[one.shape]
        shapes.append(Element("path", d=path, fill=one.colour))
    text = Element("text", {"x": "38", "y": f"{y + 4:g}", "font-size": "11px", "fill": INK})
    text.text = one.label
    return [*shapes, text]
