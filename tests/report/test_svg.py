import re
from xml.etree import ElementTree

import altair as alt
import pytest

from caploc.experiments.agreement._places import neuron_map
from caploc.report import charts, palette
from caploc.report.svg import inline_svg


def _draw(title="a & <b>", name="n1"):
    rows = [
        {"x": x, "series": "located", "value": 30.0 * x, "low": 25.0 * x, "high": 33.3333333 * x}
        for x in (1, 2, 3)
    ]
    x = charts.log_x(rows, "samples")
    chart = charts.curves(rows, palette.SERIES, title, x, "overlap", percent=True)
    return inline_svg(chart, name, f'"{title}"').__html__()


def test_a_drawing_is_well_formed_and_speaks_its_label():
    root = ElementTree.fromstring(_draw())
    assert root.attrib["aria-label"] == '"a & <b>"'
    assert root.attrib["role"] == "img"
    texts = [element.text for element in root.iter("text")]
    assert "a & <b>" in texts
    assert "samples" in texts


@pytest.mark.parametrize("character", ["\0", "\a", "\x1b", "\x85", "\u2028", "\ud800", "\ufffe"])
def test_characters_that_end_the_drawing_library_are_shown_as_unknown(character):
    """In a process that is still there afterwards; tokens of a model may hold any of them."""
    root = ElementTree.fromstring(_draw(title=f"a{character}b\ttab"))
    assert "a\ufffdb" in root.attrib["aria-label"]
    assert any((element.text or "").startswith("a\ufffdb") for element in root.iter("text"))


def test_ids_of_two_drawings_do_not_clash():
    first, second = (set(re.findall(r'\bid="([^"]+)"', _draw(name=n))) for n in ("n1", "n2"))
    assert first.isdisjoint(second)
    for name in ("n1", "n2"):
        used = set(re.findall(r"url\(#([^)]+)\)", _draw(name=name)))
        assert used <= set(re.findall(r'\bid="([^"]+)"', _draw(name=name)))


def test_coordinates_are_short_and_labels_untouched():
    text = _draw(title="0.123456")
    assert ">0.123456<" in text
    assert not re.search(r'\b(?:d|transform)="[^"]*\.\d{3}', text)


def test_equal_charts_are_equal_bytes():
    assert _draw() == _draw()


def test_every_colour_of_the_figures_has_a_dark_partner():
    used = {series.colour for series in (*palette.SERIES, *palette.SHARING)}
    used |= {palette.INK, palette.SOFT, palette.AXIS, palette.GRID, palette.BAND}
    assert used == set(palette.DARK)
    assert len(set(palette.DARK.values())) == len(palette.DARK)
    text = _draw()
    drawn = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', text))
    assert drawn <= used
    assert not re.search(r'(?:fill|stroke)="(black|white|#000|#888|#ddd)"', text)


@pytest.mark.parametrize("series", [palette.SERIES, palette.SHARING])
def test_no_two_series_share_a_colour_or_a_shape(series):
    for attribute in ("colour", "shape"):
        assert len({getattr(one, attribute) for one in series}) == len(series)


def test_a_map_puts_layer_0_at_the_bottom_and_bars_beside_their_layer():
    points = [
        {"layer": 0, "neuron": 0, "series": "own", "label": "layer 0, neuron 0"},
        {"layer": 3, "neuron": 9, "series": "one", "label": "layer 3, neuron 9, <&"},
    ]
    bars = [{"layer": 0, "percent": 50.0}, {"layer": 3, "percent": 50.0}]
    chart = neuron_map(points, bars, "t", (4, 10), 50.0)
    assert isinstance(chart, alt.HConcatChart)
    root = ElementTree.fromstring(inline_svg(chart, "m", "m").__html__())
    marks = [e for e in root.iter("path") if e.attrib.get("fill") in (
        palette.SHARING[0].colour, palette.SHARING[1].colour)]  # fmt: skip
    titles = [e.text for mark in marks for e in mark.iter("title")]
    assert titles == ["layer 0, neuron 0", "layer 3, neuron 9, <&"]  # what the pointer shows
    places = [e.attrib["transform"] for e in marks if "transform" in e.attrib]
    assert len(places) == 2
    (_, low), (_, high) = (map(float, re.findall(r"-?[\d.]+", p)[:2]) for p in places)
    assert low > high  # SVG counts downwards
    tops = [float(re.match(r"M[-\d.]+,([-\d.]+)", e.attrib["d"])[1])
            for e in marks if "transform" not in e.attrib]  # fmt: skip
    heights = [float(re.search(r"v([-\d.]+)", e.attrib["d"])[1])
               for e in marks if "transform" not in e.attrib]  # fmt: skip
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    assert middles == pytest.approx([low, high], abs=0.6)
