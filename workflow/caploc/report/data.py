"""The sections on the samples of the run, its settings and the files of the page."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from caploc.files.base_tables import SAMPLES
from caploc.report.inputs import Inputs
from caploc.report.numbers import matching
from caploc.report.settings import flat

__all__ = ["CONTENTS", "ORDER", "TABLES", "section"]

TABLES = {"samples": SAMPLES}
ORDER = 90
CONTENTS = (("data", "Data"), ("settings", "Settings and versions"))
_SPLITS = ("locate", "train", "validation", "test")


def section(inputs: Inputs) -> dict[str, Any]:
    """Samples that were used and left out, questions in common, settings, models."""
    kept = matching(inputs.tables["samples"], metric="kept")
    kept = kept.filter(~pl.col("dataset").str.ends_with(".shuffled"))
    prepared = matching(kept, model="")
    columns = [("", split) for split in _ordered(prepared["split"], _SPLITS)]
    columns += [(model, "locate") for model in inputs.spec["models"] if model in kept["model"]]
    return {
        "kept": kept,
        "columns": columns,
        "datasets": _ordered(prepared["dataset"], [task.id for task in inputs.tasks]),
        "drops": matching(inputs.tables["samples"], metric="dropped")
        .filter(pl.col("value") > 0)
        .to_dicts(),
        "splits": _split_check(inputs.splits),
        "settings": flat(inputs.spec["config"]),
        "flat": flat,
    }


def _ordered(names: Iterable[str], first: Iterable[str]) -> list[str]:
    """Distinct names: those of `first` in its order, then the others sorted."""
    found = set(names)
    known = [name for name in first if name in found]
    return known + sorted(found - set(known))


def _split_check(pairs: pl.DataFrame) -> dict[str, Any]:
    """Questions in common within data sets, with the training text, and between data sets."""
    folder = r"^(.*)/[^/]*$"
    same = pl.col("a").str.extract(folder).eq_missing(pl.col("b").str.extract(folder))
    kind = (
        pl.when(pl.col("b").str.starts_with("training text"))
        .then(pl.lit("training"))
        .when(same)
        .then(pl.lit("within"))
        .otherwise(pl.lit("between"))
    )
    kinds = pairs.with_columns(kind=kind)
    totals = {
        name: {"pairs": len(rows), "shared": rows["shared"].sum()}
        for name in ("within", "training", "between")
        for rows in [matching(kinds, kind=name)]
    }
    return totals | {"common": pairs.filter(pl.col("shared") > 0).to_dicts()}
