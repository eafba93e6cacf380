"""Columns of the table `known_answer`, and its rows for one capability of one planted model."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
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
from caploc.files.tables import COUNT, ESTIMATE, NUMBER, TEXT, Schema, texts
from caploc.measures.masks import outliers

__all__ = ["ALL", "EFFECTIVE", "KNOWN_ANSWER", "VARIANTS", "Scored", "ranked_rows", "surgery_rows"]

Row = dict[str, Any]
Grid = NDArray[np.bool_]
Scored = dict[tuple[str, str, int], NDArray[np.float64]]
"""(layer, neuron) scores by locator, its ranking, and number of samples."""
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


def surgery_rows(check: Mapping[str, Any], capability: str) -> Iterator[Row]:
    """What the surgery check found, whether the plant may be used or not."""
    accuracy, n = check["accuracy"], check["n"][capability]
    base = accuracy["as it is"]
    reasons = check["reasons"][capability]
    yield {"metric": "usable", "value": float(not reasons), "note": "; ".join(reasons)}
    yield {"metric": "accuracy", "value": base[capability], "n": n}
    yield {"metric": "chance", "value": check["chance"][capability], "n": n}
    drawn = [name for name in accuracy if name.startswith(f"{capability}, random ")]
    for name, of in accuracy.items():
        if name == "as it is" or name in drawn or name in check["reasons"]:
            continue
        if ", " not in name or name.startswith(f"{capability}, "):
            named = {"set": name, "n": check["n_neurons"][name]}
            yield named | {"metric": "accuracy", "value": of[capability]}
    own = accuracy[capability]
    named = {"set": "planted", "n": check["n_neurons"][capability]}
    yield named | {"metric": "accuracy", "value": own[capability]}
    others = {task: own[task] - base[task] for task in base if task != capability}
    worst = max(others, key=lambda task: abs(others[task]))
    yield named | {"metric": "worst_other_change", "value": others[worst], "note": worst}
    changes = {(k, task): accuracy[k][task] - base[task] for k in drawn for task in base}
    if changes:
        (_, task), value = max(changes.items(), key=lambda item: abs(item[1]))
        named = {"set": "random", "n": len(drawn)}
        yield named | {"metric": "worst_random_change", "value": value, "note": task}


def ranked_rows(
    scored: Scored,
    layout: Layout,
    capability: str,
    effective: Grid,
    sigmas: list[float],
    variants: Mapping[str, list[str]],
    seed: int,
) -> Iterator[Row]:
    """Rankings and masks of every locator against both truths, and the places of decoys.

    Args:
        scored: of all locators.
        layout: roles of the neurons.
        capability: task id.
        effective: (layer, neuron) planted neurons with a measured effect.
        sigmas: thresholds of the masks.
        variants: names in `VARIANTS` by locator.
        seed: of ties.
    """
    planted = layout.carrying(capability)
    truths = {ALL: planted} | ({EFFECTIVE: effective} if effective.any() else {})
    largest = {name: max(n for k, _, n in scored if k == name) for name, *_ in scored}
    for (name, ranked, n_samples), scores in scored.items():
        ways = {name: (ranked, False)}
        for variant in variants.get(name, []):
            other, per_layer = VARIANTS[variant]
            ways[f"{name}, {variant}"] = (other or ranked, per_layer)
        for label, (ranking, per_layer) in ways.items():
            x = strength(scores, ranking, per_layer)
            named: Row = {"locator": label, "n_samples": n_samples}
            for truth, grid in truths.items():
                yield from _quality(named | {"truth": truth}, x, grid, seed)
            if n_samples < largest[name]:
                continue
            yield from _decoys(named, x, layout, capability, int(planted.sum()), seed)
            if ranked == "distance":
                yield from _masks(named, scores, ranking, per_layer, truths, sigmas)


def _quality(named: Row, x: NDArray[np.float64], truth: Grid, seed: int) -> Iterator[Row]:
    n = int(truth.sum())
    yield named | {"metric": "average_precision", "value": average_precision(x, truth), "n": n}
    yield named | {"metric": "roc_area", "value": roc_area(x, truth), "n": n}
    # As many as are true: precision and recall are one number.
    share, _ = precision_recall(top(x, n, seed), truth)
    yield named | {"metric": "precision_at_n", "value": share, "n": n}


def _masks(
    named: Row,
    scores: NDArray[np.float64],
    ranking: str,
    per_layer: bool,
    truths: Mapping[str, Grid],
    sigmas: list[float],
) -> Iterator[Row]:
    sign = "positive" if ranking == "positive" else "both"
    for dispersion in ("std", "var"):
        for sigma in sigmas:
            mask = outliers(scores, sigma, dispersion, per_layer, sign)  # type: ignore[arg-type]
            row = named | {"sigma": sigma, "rule": dispersion}
            yield row | {"metric": "located", "value": float(mask.sum())}
            for truth, grid in truths.items():
                found = precision_recall(mask, grid)
                for metric, value in zip(("precision", "recall"), found, strict=True):
                    yield row | {"truth": truth, "metric": metric, "value": value}


def _decoys(
    named: Row, x: NDArray[np.float64], layout: Layout, capability: str, n: int, seed: int
) -> Iterator[Row]:
    """Share of the first n places (n: number of planted neurons) that each kind of decoy takes."""
    sets = {kind: layout.of(kind) for kind in DECOYS}
    sets["negative"] = layout.of("negative", capability=capability)
    others = [name for name in layout.capabilities if name != capability]
    for name in others:
        sets[f"planted for {name}"] = layout.carrying(name)
    for kind, grid in sets.items():
        if grid.any():
            share = share_among_first(x, grid, n, seed)
            yield named | {
                "set": kind, "metric": "share_of_first", "value": share, "n": int(grid.sum()),
            }  # fmt: skip
