"""Maps of causal tracing: rows of the table `tracing`, drawn; nothing is computed."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import polars as pl

from caploc.experiments.fidelity.table import ROLES
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching
from caploc.report.palette import INK, LOCATED, MIXTURE, SOFT
from caploc.report.svg import Panel, inline_svg

__all__ = ["tracing_view"]

STATES = {"residual": "Output of the block", "ffn": "FFN", "attention": "Attention"}
# Marks in front of the words of tokenizers of bytes and of pieces.
_SPACES = "[Ġ▁Ċ]"


def tracing_view(inputs: Inputs, model: str, facts: str) -> dict[str, Any] | None:
    """The maps of a model and set of facts, None if there are none.

    Returns:
        ``group`` whose facts were averaged ("known" or "all"), ``averaged`` (a panel for each
        restored state), ``facts`` (title and panels of a few single facts) and ``peaks`` (title of
        the state, and the row where the averaged effect is largest).
    """
    if "tracing" not in inputs.tables:
        return None
    frame = matching(inputs.tables["tracing"], model=model, dataset=facts)
    single = frame.filter(pl.col("fact") != "")
    means = matching(frame, fact="").drop_nulls("value")
    group = "known" if "known" in means["facts"] else "all"
    means = matching(means, facts=group)
    if means.is_empty() and single.is_empty():
        return None
    slug = f"tracing-{model}-{facts}"
    labels = [role for role in ROLES if role in means["position"]]
    lines = pl.col("position").cast(pl.Enum(labels)).to_physical()
    return {
        "group": group,
        "averaged": list(_panels(means.with_columns(line=lines), labels, slug)),
        "facts": list(_facts(single, slug)),
        "peaks": [
            (title, own.row(own["value"].arg_max() or 0, named=True))
            for state, title in STATES.items()
            if not (own := matching(means, state=state)).is_empty()
        ],
    }


def _facts(frame: pl.DataFrame, slug: str) -> Iterator[tuple[str, list[Panel]]]:
    word = pl.col("text").str.replace_all(_SPACES, "")
    for i, own in enumerate(frame.partition_by("fact", maintain_order=True)):
        tokens = own.unique("token", keep="last").sort("token").with_columns(word=word)
        # Those of the subject carry a star.
        star = pl.when(pl.col("position").str.contains("subject")).then(pl.lit("*"))
        labels = tokens.select(pl.col("word") + star.otherwise(pl.lit(""))).to_series().to_list()
        # Not every token need be traced.
        lines = tokens.select("token").with_row_index("line")
        panels = _panels(own.join(lines, on="token"), labels, f"{slug}-{i}")
        yield " ".join(tokens["word"]), list(panels)


def _panels(frame: pl.DataFrame, labels: Sequence[str], slug: str) -> Iterator[Panel]:
    """One map for each state; all have the same colours.

    Args:
        frame: a row for each cell of each map, with its ``line``.
        labels: of the lines, from top to bottom.
        slug: beginning of the names of the drawings.
    """
    cells = frame.select("state", "line", "layer", value=100 * pl.col("value"))
    cells = cells.with_columns(size=pl.col("value").abs())
    for state, title in STATES.items():
        own = matching(cells, state=state)
        if not own.is_empty():
            top = own.row(own["value"].arg_max() or 0, named=True)
            label = (
                f"Causal tracing, {title}: largest effect {top['value']:.1f} points at "
                f"{labels[top['line']]}, layer {top['layer']}"
            )
            drawing = _map(own, labels, title, max(cells["size"]) or 1.0)
            yield Panel(title, inline_svg(drawing, f"{slug}-{state}", label))


def _map(cells: pl.DataFrame, labels: Sequence[str], title: str, most: float) -> alt.TopLevelMixin:
    """Lines by layers. Strength is opacity, so that both colour schemes of the page keep it."""
    names = json.dumps(list(labels), ensure_ascii=False)
    y = alt.Y(
        "line:O",
        title="token",
        axis=alt.Axis(
            labelExpr=f"{names}[datum.value]", ticks=False, domain=False, titlePadding=16
        ),
    )
    layers = cells["layer"].unique().sort().to_list()
    every = layers[:: 1 if len(layers) <= 16 else 4]
    x = alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, values=every, ticks=False))
    falls = alt.datum.value < 0
    size = {
        "width": max(140, min(230, 34 * len(layers))),
        "height": alt.Step(22),
        "title": title,
    }
    opacity = alt.Opacity(
        "size:Q",
        scale=alt.Scale(domain=[0, most], range=[0.04, 1.0]),
        legend=alt.Legend(
            title="effect, points", orient="right", tickCount=4, symbolType="square",
            symbolFillColor=LOCATED.colour, symbolStrokeWidth=0, labelColor=SOFT, titleColor=INK,
            titleFontWeight="normal",
        ),
    )  # fmt: skip
    colour = alt.condition(falls, alt.value(MIXTURE.colour), alt.value(LOCATED.colour))
    chart = alt.Chart(alt.Data(values=cells.to_dicts())).mark_rect(stroke=None)
    return chart.encode(x=x, y=y, opacity=opacity, color=colour).properties(**size)
