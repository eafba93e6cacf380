"""The section on the precision of the scores: do they add up to the effect that they divide?"""

from typing import Any

import polars as pl

from caploc.files.base_tables import COMPLETENESS, NEURONS
from caploc.report.findings import Finding, Tile
from caploc.report.formatting import Number, count, percent
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching, number
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section", "tiles"]

TABLES = {"completeness": COMPLETENESS, "neurons": NEURONS}
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
    found = _where_located(view)
    if found.is_empty():
        return []
    worst = found.row(found["error"].arg_max(), named=True)
    text = (
        "Scores add up to the effect they explain with a mean error of "
        f"{percent(_mean(found))} % of it in the layers of the located neurons, at most "
        f"{percent(worst['error'])} % ({view.inputs.title(worst['dataset'])}). "
    )
    if worst["error"] <= _GOOD_GAP:
        return [Finding("note", "Precision", text + "The scores are exact enough to rank.")]
    poor = int((found["error"] > _GOOD_GAP).sum())
    text += (
        f"In {poor} of {count(len(found), 'data set')} it is above {percent(_GOOD_GAP, 0)} %: read "
        "scores there with care."
    )
    return [Finding("caution", "Precision", text)]


def tiles(view: View) -> list[Tile]:
    """The error of the scores where it counts."""
    found = _where_located(view)
    label = "error of the scores, in the layers of the located neurons"
    if found.is_empty():
        return [Tile("–", label, "integration error: not computed")]
    worst = percent(max(found["error"]))
    note = f"integration error relative to the effect, mean of the data sets; largest {worst} %"
    return [Tile(f"{percent(_mean(found))} %", label, note)]


def _mean(found: pl.DataFrame) -> float:
    return float(found["error"].to_numpy().mean())


def _where_located(view: View) -> pl.DataFrame:
    """``error`` of each ``dataset``: mean over layers, weighted by their share of located neurons.

    Data sets without a located neuron, or without an error where one is, are left out.
    """
    located = matching(
        view.inputs.tables["neurons"], model=view.model, method=view.method, mask=view.mask,
        metric="z",
    )  # fmt: skip
    counts = located.group_by("dataset", "layer").len("n")
    both = counts.join(_errors(view).drop_nulls("ratio"), on=["dataset", "layer"])
    weighted = (pl.col("ratio") * pl.col("n")).sum() / pl.col("n").sum()
    return both.group_by("dataset").agg(error=weighted).sort("dataset")


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
