"""The section on the precision of the scores: do they add up to the effect that they divide?"""

from typing import Any

import polars as pl

from caploc.files.base_tables import COMPLETENESS, NEURONS
from caploc.report.findings import Finding, Tile
from caploc.report.formatting import percent
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching
from caploc.report.templates import finding
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section", "tiles"]

TABLES = {"completeness": COMPLETENESS, "neurons": NEURONS}
ORDER = 40
CONTENTS = (("precision", "Precision of the scores"),)
# Mean integration error above this share of the effect puts the scores in doubt.
_GOOD_GAP = 0.05
_SHOWN = ("rest_p50", "rest_p90", "rest_max", "endpoint", "effect")


def section(inputs: Inputs) -> dict[str, Any]:
    """Of every view, its ``errors`` (`_errors`) and the ``datasets`` that have a line."""
    found = []
    for view in views(inputs):
        errors = _errors(view)
        ids = [task.id for task in inputs.tasks]
        others = set(errors.drop_nulls("effect")["dataset"]) - set(ids)
        found.append({"view": view, "errors": errors, "datasets": [*ids, *sorted(others)]})
    return {"views": found}


def findings(view: View) -> list[Finding]:
    """How exact the scores are."""
    found = _where_located(view)
    if found.is_empty():
        return []
    worst = found.row(found["error"].arg_max() or 0, named=True)
    poor = int((found["error"] > _GOOD_GAP).sum())
    return [
        finding(
            "caution" if poor else "note", "Precision", "", "precision",
            mean=_mean(found), worst=worst["error"], title=view.inputs.title(worst["dataset"]),
            poor=poor, n=len(found), limit=_GOOD_GAP,
        )
    ]  # fmt: skip


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
    frame = view.rows("completeness").filter(
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
