"""Overlaps of single facts as a drawing: every fact a dot, the means below."""

from collections.abc import Mapping

import altair as alt
import polars as pl

from caploc.report.numbers import matching
from caploc.report.palette import CHANCE, LOCATED, MIXTURE, NEUTRAL, SHUFFLED
from caploc.report.svg import Drawing, inline_svg

__all__ = ["distributions"]

# Comparisons from top to bottom, with the look of each.
_DRAWN = {
    "rewrite": LOCATED, "same relation": MIXTURE, "other relation": NEUTRAL,
    "random by layer": SHUFFLED, "random uniform": CHANCE,
}  # fmt: skip


def distributions(
    frame: pl.DataFrame, rules: pl.DataFrame, names: Mapping[str, str], slug: str
) -> list[tuple[str, Drawing]]:
    """Title and drawing for each of the rules that has values of single facts.

    Args:
        frame: rows of the table `fidelity` of one model, set of facts and group of facts.
        rules: locator, rule and rewrite of each drawing.
        names: titles of the locators by id.
        slug: part of the names of the drawings.
    """
    drawn = []
    order = pl.col("comparison").cast(pl.Enum(list(_DRAWN)))
    overlaps = matching(frame, metric="overlap").filter(pl.col("comparison").is_in(list(_DRAWN)))
    for key in rules.iter_rows(named=True):
        own = matching(overlaps, **key).drop_nulls("value").sort(order, "value")
        last = (pl.len() - 1).clip(1).over("comparison")
        points = own.filter(pl.col("fact") != "").select(
            "comparison",
            value=100 * pl.col("value"),
            offset=pl.int_range(pl.len()).over("comparison") / last,
        )
        means = matching(own, fact="").select(
            "comparison",
            value=100 * pl.col("value"),
            low=100 * pl.col("ci_low").fill_null(pl.col("value")),
            high=100 * pl.col("ci_high").fill_null(pl.col("value")),
        )
        if not points.is_empty():
            told = means.select("comparison", "value").rows()
            spoken = "; ".join(f"{comparison} {value:.0f} %" for comparison, value in told)
            title = names[key["locator"]]
            label = f"{title}, overlap by fact, means: {spoken}"
            name = f"fidelity-{slug}-{key['locator']}"
            drawn.append((title, inline_svg(_distribution(points, means), name, label)))
    return drawn


def _distribution(points: pl.DataFrame, means: pl.DataFrame) -> alt.TopLevelMixin:
    """Every fact as a dot, sorted upwards within its row; the mean with its interval below."""
    present = points["comparison"].unique(maintain_order=True).to_list()
    colours = alt.Scale(domain=list(_DRAWN), range=[look.colour for look in _DRAWN.values()])
    y = alt.Y("comparison:N", sort=present, title=None, axis=alt.Axis(grid=True, tickBand="extent"))
    x = alt.X("value:Q", title="overlap, %", scale=alt.Scale(domain=[0, 100]))
    colour = alt.Color("comparison:N", scale=colours, legend=None)
    offset = alt.YOffset("offset:Q", scale=alt.Scale(domain=[-0.9, 1.2], reverse=True))
    dots = alt.Chart(alt.Data(values=points.to_dicts())).mark_circle(size=16, opacity=0.55)
    below = means.with_columns(offset=pl.lit(-0.5))
    base = alt.Chart(alt.Data(values=below.to_dicts()))
    spans = base.mark_rule(size=2).encode(
        y=y, yOffset=offset, color=colour, x=alt.X("low:Q"), x2="high:Q"
    )
    diamonds = base.mark_point(filled=True, shape="diamond", size=70, opacity=1)
    return alt.layer(
        dots.encode(x=x, y=y, yOffset=offset, color=colour),
        spans,
        diamonds.encode(x=x, y=y, yOffset=offset, color=colour),
    ).properties(width=230, height=alt.Step(40, **{"for": "position"}))  # fmt: skip
