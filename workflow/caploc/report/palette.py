"""Colours and shapes of the page, chosen to differ for every common kind of colour vision.

Figures are drawn with the light colours. In dark mode the style sheet replaces each of them by its
partner, matching on the attribute of the SVG, so one drawing serves both and prints well.
Every series also has its own shape and dash, so colour never carries a meaning alone.
"""

from dataclasses import dataclass

__all__ = [
    "AXIS",
    "BAND",
    "CHANCE",
    "DARK",
    "GRID",
    "INK",
    "LOCATED",
    "MIXTURE",
    "NEUTRAL",
    "SERIES",
    "SHARING",
    "SHUFFLED",
    "SOFT",
    "Series",
]

INK = "#1c2430"  # text
SOFT = "#566170"  # labels
AXIS = "#8b95a3"
GRID = "#e3e7ec"
BAND = "#dcebf7"  # range of the located series
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0067a8", "#c25100", "#007a55", "#a03a86", "#6a7280"

DARK = {
    INK: "#e8ecf1",
    SOFT: "#aab4c0",
    AXIS: "#717c8a",
    GRID: "#2b333d",
    BAND: "#1c3a52",
    _BLUE: "#6bb8f0",
    _ORANGE: "#ff9d57",
    _GREEN: "#43cfa0",
    _PURPLE: "#e79bd2",
    _GREY: "#9aa5b1",
}


@dataclass(frozen=True, slots=True)
class Series:
    """How one series looks wherever it appears.

    Attributes:
        key: arm of the table `agreement`, or a name used by the figures only.
        label: what the legend says.
        colour: light-mode colour.
        shape: Vega symbol name.
        dash: lengths of dashes and gaps in pixels; (1, 0) is a full line, empty no line at all.
    """

    key: str
    label: str
    colour: str
    shape: str
    dash: tuple[int, ...] = ()


LOCATED = Series("located", "the data set itself", _BLUE, "circle", (1, 0))
MIXTURE = Series("mixture", "reference: mixture of all data sets", _ORANGE, "square", (6, 3))
NEUTRAL = Series("neutral", "reference: neutral text", _GREEN, "triangle-up", (2, 2))
SHUFFLED = Series("shuffled", "reference: answers shuffled", _PURPLE, "diamond", (8, 3, 2, 3))
CHANCE = Series("chance", "chance", _GREY, "stroke", (1, 3))
SERIES = (LOCATED, MIXTURE, NEUTRAL, SHUFFLED, CHANCE)

# Neuron maps: how many other data sets located the same neuron.
SHARING = (
    Series("own", "this data set only", _BLUE, "circle"),
    Series("one", "shared with one other", _ORANGE, "diamond"),
    Series("more", "shared with two or more others", _PURPLE, "triangle-up"),
)
