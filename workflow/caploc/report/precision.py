"""The section on the precision of the scores: do they add up to the effect that they divide?"""

from typing import Any

import polars as pl

from caploc.files.base_tables import COMPLETENESS
from caploc.report.findings import Finding, Tile
from caploc.report.formatting import Number, percent
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section", "tiles"]

TABLES = {"completeness": COMPLETENESS}
ORDER = 40
CONTENTS = (("precision", "Precision of the scores"),)
# Mean integration error above this share of the effect puts the scores in doubt.
_GOOD_GAP = 0.05
_SHOWN = ("rest_p50", "rest_p90", "rest_max", "endpoint", "effect")


def section(inputs: Inputs) -> dict[str, Any]:
    """Of every view, ``gaps`` and ``converged`` of each data set.

    ``gaps``: title, and the numbers of every layer. ``converged``: title, IoU with the converged
    mask, difference of the scores, where they were computed.
    """
    return {
        "views": [
            {"view": view, "gaps": _rows(view), "converged": _converged(view)}
            for view in views(inputs)
        ]
    }


def findings(view: View) -> list[Finding]:
    """How exact the scores are."""
    ratios = _errors(view).drop_nulls("ratio")
    if ratios.is_empty():
        return []
    worst = ratios.row(ratios["ratio"].arg_max(), named=True)
    text = (
        "Scores add up to the effect they explain with a mean error of "
        f"{percent(ratios['ratio'].median())} % of it "  # type: ignore[arg-type]
        f"(median over data sets and layers), at most {percent(worst['ratio'])} % "
        f"({view.inputs.title(worst['dataset'])}, layer {worst['layer']}). "
    )
    if worst["ratio"] <= _GOOD_GAP:
        return [Finding("note", "Precision", text + "The scores are exact enough to rank.")]
    poor = (ratios["ratio"] > _GOOD_GAP).sum()
    text += (
        f"In {poor} of {len(ratios)} cases it is above {percent(_GOOD_GAP, 0)} %: read scores "
        "there with care."
    )
    return [Finding("caution", "Precision", text)]


def tiles(view: View) -> list[Tile]:
    """The typical error of the scores."""
    ratios = _errors(view)["ratio"].drop_nulls()
    note = "integration error: not computed"
    if len(ratios):
        note = "integration error relative to the effect: median; largest "
        note += f"{percent(ratios.max())} %"  # type: ignore[arg-type]
    number = f"{percent(ratios.median())} %" if len(ratios) else "–"  # type: ignore[arg-type]
    return [Tile(number, "typical error of the scores", note)]


def _errors(view: View) -> pl.DataFrame:
    """A column for each metric, and ``ratio``, by data set and layer; shuffled references left out.

    ``ratio``: mean integration error as a fraction of the mean effect. The endpoint term of the
    rule, which is known and no error of the points, is not in it.
    """
    frame = matching(view.inputs.tables["completeness"], model=view.model, method=view.method)
    frame = frame.filter(
        ~pl.col("dataset").str.ends_with(".shuffled"), pl.col("value").is_not_null()
    )
    wide = frame.pivot("metric", index=["dataset", "layer"], values="value")
    wide = wide.with_columns(
        pl.lit(None, pl.Float64).alias(name)
        for name in ("rest_mean", *_SHOWN)
        if name not in wide.columns
    )
    effect = pl.when(pl.col("effect") != 0).then("effect")
    return wide.with_columns(ratio=pl.col("rest_mean") / effect)


def _rows(view: View) -> list[tuple[str, list[dict[str, float | None]]]]:
    errors = _errors(view)
    ids = [task.id for task in view.inputs.tasks]
    known = errors.drop_nulls("effect")["dataset"].unique().to_list()
    layers = pl.DataFrame({"layer": range(view.grid[0])}, schema={"layer": errors["layer"].dtype})
    return [
        (
            view.inputs.title(dataset),
            layers.join(matching(errors, dataset=dataset), on="layer", how="left")
            .sort("layer")
            .select("ratio", *_SHOWN)
            .to_dicts(),
        )
        for dataset in [*ids, *sorted(set(known) - set(ids))]
    ]


def _converged(view: View) -> list[tuple[str, Number, Number]]:
    frame = matching(
        view.inputs.tables["agreement"], model=view.model, method=view.method, mask=view.mask,
        comparison="converged-mask",
    )  # fmt: skip
    found = []
    for task in view.inputs.tasks:
        own = matching(frame, dataset=task.id)
        error = number(own, metric="score_error")
        if error.has_value:
            found.append((task.title, number(own, metric="iou"), error))
    return found
