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
    return {
        "samples": _samples(inputs),
        "drops": [
            {**row, "title": inputs.title(row["dataset"])}
            for row in matching(inputs.tables["samples"], metric="dropped")
            .filter(pl.col("value") > 0)
            .to_dicts()
        ],
        "splits": _split_check(inputs.splits),
        "values": flat(inputs.spec["config"]),
        "models": [
            {
                "id": model,
                "details": flat({k: v for k, v in manifest.items() if k != "files"}),
                "files": sorted(manifest.get("files", {}).items()),
            }
            for model, manifest in ((m, inputs.manifests[m]) for m in inputs.spec["models"])
        ],
    }


def _samples(inputs: Inputs) -> tuple[list[str], list[tuple[str, list[int | None]]]]:
    """Column names, and for each data set how many samples each split and model kept."""
    kept = matching(inputs.tables["samples"], metric="kept")
    kept = kept.filter(~pl.col("dataset").str.ends_with(".shuffled"))
    prepared = matching(kept, model="")
    columns = [("", split) for split in _ordered(prepared["split"], _SPLITS)]
    columns += [(model, "locate") for model in inputs.spec["models"] if model in set(kept["model"])]
    counts = {
        (dataset, model, split): value
        for dataset, model, split, value in kept.select(
            "dataset", "model", "split", "value"
        ).iter_rows()
    }
    names = [split if not model else f"scored, {model}" for model, split in columns]
    datasets = _ordered(prepared["dataset"], [task.id for task in inputs.tasks])
    return names, [(inputs.title(d), [counts.get((d, *c)) for c in columns]) for d in datasets]


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
