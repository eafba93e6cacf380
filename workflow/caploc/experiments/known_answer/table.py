"""Columns of the table `known_answer`, and its rows for one capability of one planted model."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.known_answer._layout import DECOYS, Layout
from caploc.experiments.known_answer._ranking import (
    average_precision,
    precision_recall,
    roc_area,
    share_among_first,
    strength,
    top,
)
from caploc.experiments.known_answer._surgery import BASE
from caploc.experiments.known_answer.settings import OfCapability, RankPlant
from caploc.files.tables import COUNT, ESTIMATE, NUMBER, TEXT, Schema, texts
from caploc.measures.masks import outliers
from caploc.measures.summaries import exact

__all__ = ["ALL", "EFFECTIVE", "KNOWN_ANSWER", "VARIANTS", "of_capability", "ranked",
           "surgery"]  # fmt: skip

Grid = NDArray[np.bool_]
KNOWN_ANSWER: Schema = {
    "plant": TEXT,
    "seed": COUNT,
    **texts("dataset", "locator", "truth"),
    "n_samples": COUNT,
    "sigma": NUMBER,
    **texts("rule", "set"),
    **ESTIMATE,
    "note": TEXT,
}
ALL, EFFECTIVE = "all planted", "effective planted"
VARIANTS = {"per layer": ("", True), "positive": ("positive", False)}
"""Other rankings of the same scores: by name, the ranking ("": its own) and whether each layer is
standardised first."""


def of_capability(frame: pl.DataFrame, told: OfCapability) -> pl.DataFrame:
    """Rows of the table with plant, seed and capability written in."""
    return frame.with_columns(
        plant=pl.lit(told.plant), seed=pl.lit(told.seed, COUNT), dataset=pl.lit(told.task)
    )


def surgery(check: Mapping[str, Any], capability: str) -> Iterator[pl.DataFrame]:
    """What the surgery check found, whether the plant may be used or not."""
    accuracy, n, reasons = check["accuracy"], check["n"][capability], check["reasons"]
    base = accuracy[BASE]
    yield pl.DataFrame(
        {
            "metric": ["usable", "accuracy", "chance"],
            "value": [
                float(not reasons[capability]),
                base[capability],
                check["chance"][capability],
            ],
            "n": [None, n, n],
            "note": ["; ".join(reasons[capability]), "", ""],
        },
        strict=False,
    )
    named, task, others = pl.col("set"), pl.col("note"), [c for c in reasons if c != capability]
    found = pl.DataFrame(
        [(name, check["n_neurons"][name], task, value, value - base[task])
         for name, of in accuracy.items() for task, value in of.items()],
        schema=["set", "n", "note", "value", "change"], orient="row",
    )  # fmt: skip
    found = found.filter(
        named != BASE, ~named.is_in(others),
        ~named.str.contains(", ") | named.str.starts_with(f"{capability}, "),
    ).with_columns(named.replace(capability, "planted"))  # fmt: skip
    drawn = named.str.starts_with(f"{capability}, random ")
    shown = found.filter(task == capability, ~drawn)
    yield shown.select("set", "n", "value", metric=pl.lit("accuracy"))
    n_drawn = sum(name.startswith(f"{capability}, random ") for name in accuracy)
    random = found.filter(drawn).with_columns(set=pl.lit("random"), n=pl.lit(n_drawn))
    for changed, metric in (
        (found.filter(named == "planted", task != capability), "worst_other_change"),
        (random, "worst_random_change"),
    ):
        worst = changed.filter(pl.col("change").abs() == pl.col("change").abs().max()).head(1)
        yield worst.select("set", "n", "note", value="change", metric=pl.lit(metric))


def ranked(
    scored: pl.DataFrame, layout: Layout, effective: Grid, told: RankPlant
) -> Iterator[pl.DataFrame]:
    """Rankings and masks of every locator against both truths, and the places of decoys.

    Args:
        scored: ``locator, ranked, n_samples, layer, scores``, a row for each layer, in order.
        layout: roles of the neurons.
        effective: (layer, neuron) planted neurons with a measured effect.
        told: of the stage.
    """
    planted = layout.carrying(told.task)
    truths = {ALL: planted} | ({EFFECTIVE: effective} if effective.any() else {})
    sets = _decoys(layout, told.task)
    keys = ["locator", "ranked", "n_samples"]
    groups = scored.with_columns(
        largest=pl.col("n_samples") == pl.col("n_samples").max().over("locator")
    ).group_by(*keys, "largest", maintain_order=True)
    for (name, own, n_samples, largest), rows in groups:
        scores = np.stack(rows["scores"].to_list())
        ways = {name: (own, False)}
        for variant in told.variants.get(str(name), ()):
            other, per_layer = VARIANTS[variant]
            ways[f"{name}, {variant}"] = (other or own, per_layer)
        for label, (ranking, per_layer) in ways.items():
            x = strength(scores, str(ranking), per_layer)
            parts = [_quality(x, truth, grid, told.seed) for truth, grid in truths.items()]
            if effective.any():
                # An idle planted neuron is no fault of a causal ranking and no merit.
                kept = ~planted | effective
                value = average_precision(x[kept], effective[kept])
                parts.append(exact(value, int(effective.sum()), truth=EFFECTIVE,
                                   metric="average_precision_without_idle"))  # fmt: skip
            if largest:
                n = int(planted.sum())
                parts += [
                    exact(share_among_first(x, grid, n, told.seed), int(grid.sum()), set=kind,
                          metric="share_of_first")
                    for kind, grid in sets.items()
                ]  # fmt: skip
            if largest and own == "distance":
                sign = "positive" if ranking == "positive" else "both"
                for dispersion in ("std", "var"):
                    for sigma in told.sigmas:
                        mask = outliers(scores, sigma, dispersion, per_layer, sign)  # type: ignore[arg-type]
                        about = _mask(mask, truths)
                        parts.append(about.with_columns(sigma=sigma, rule=pl.lit(dispersion)))
            for part in parts:
                yield part.with_columns(locator=pl.lit(label), n_samples=pl.lit(n_samples))


def _quality(x: NDArray[np.float64], truth: str, grid: Grid, seed: int) -> pl.DataFrame:
    n = int(grid.sum())
    # As many as are true: precision and recall are one number.
    share, _ = precision_recall(top(x, n, seed), grid)
    found = {
        "average_precision": average_precision(x, grid),
        "roc_area": roc_area(x, grid),
        "precision_at_n": share,
    }
    return pl.DataFrame({"metric": list(found), "value": list(found.values())}).with_columns(
        truth=pl.lit(truth), n=n
    )


def _mask(mask: Grid, truths: Mapping[str, Grid]) -> pl.DataFrame:
    """Size of a mask, and its precision and recall against each truth."""
    rows: list[tuple[str, str, float | None]] = [("", "located", float(mask.sum()))]
    for truth, grid in truths.items():
        precision, recall = precision_recall(mask, grid)
        rows += [(truth, "precision", precision), (truth, "recall", recall)]
    return pl.DataFrame(rows, ["truth", "metric", "value"], orient="row")


def _decoys(layout: Layout, capability: str) -> dict[str, Grid]:
    """Neurons that a locator of the capability should not return, by kind."""
    sets = {kind: layout.of(kind) for kind in DECOYS}
    sets["negative"] = layout.of("negative", capability=capability)
    others = [name for name in layout.capabilities if name != capability]
    sets |= {f"planted for {name}": layout.carrying(name) for name in others}
    return {kind: grid for kind, grid in sets.items() if grid.any()}
