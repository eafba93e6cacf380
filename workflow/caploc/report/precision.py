"""The section on the precision of the scores: do they add up to the effect that they divide?"""

from typing import Any

import polars as pl

from caploc.files.base_tables import COMPLETENESS
from caploc.report.findings import Finding, Tile
from caploc.report.formatting import percent
from caploc.report.inputs import Inputs
from caploc.report.templates import finding
from caploc.report.views import View, views

__all__ = ["CONTENTS", "ORDER", "TABLES", "findings", "section", "tiles"]

TABLES = {"completeness": COMPLETENESS}
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
    ratios = _errors(view).drop_nulls("ratio")
    if ratios.is_empty():
        return []
    worst = ratios.filter(pl.col("ratio") == pl.col("ratio").max()).row(0, named=True)
    poor = (ratios["ratio"] > _GOOD_GAP).sum()
    return [
        finding(
            "caution" if poor else "note", "Precision", "", "precision",
            median=ratios["ratio"].median(), worst=worst, title=view.inputs.title(worst["dataset"]),
            poor=poor, n=len(ratios), limit=_GOOD_GAP,
        )
    ]  # fmt: skip


def tiles(view: View) -> list[Tile]:
    """The typical error of the scores."""
    ratios = _errors(view)["ratio"].drop_nulls().to_list()
    if not ratios:
        return [Tile("–", "typical error of the scores", "integration error: not computed")]
    note = "integration error relative to the effect: median; largest "
    typical = f"{percent(pl.Series(ratios).median())} %"  # type: ignore[arg-type]
    return [Tile(typical, "typical error of the scores", f"{note}{percent(max(ratios))} %")]


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
