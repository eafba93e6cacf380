"""IPP of each locator of single facts by its own validation, with what belongs beside it.

Settings: `MeasureReliability`. Inputs: ``kn``, ``circuit``, ``edits`` (outcomes of the
validations). Output: ``part`` of the table `reliability`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.reliability._performance import (
    Performance,
    explained_intervals,
    ipp_intervals,
)
from caploc.experiments.reliability.settings import MeasureReliability
from caploc.experiments.reliability.table import OVER_FACTS, RELIABILITY
from caploc.files import store, tables
from caploc.jobs.job import Job
from caploc.measures.summaries import bootstrapped, exact, not_computed, of_estimates

__all__ = ["run"]

_HITS = (1, 10)
_SHARES = ("efficacy", "paraphrase", "neighbourhood")
Values = NDArray[np.float64]


def run(job: Job) -> None:
    """Measure all three locators.

    Raises:
        DataError: a damaged file.
    """
    told = job.told(MeasureReliability)
    parts = []
    for locator, name, measured in (
        ("kn", "kn", _kn), ("circuit", "circuit", _circuit), ("rome", "edits", _rome),
    ):  # fmt: skip
        path = job.input(name)
        for part in measured(told, tables.read(path), store.read_metadata(path)):
            parts.append(part.with_columns(locator=pl.lit(locator)))
    part = tables.gathered(parts, RELIABILITY)
    part = part.with_columns(model=pl.lit(told.model), dataset=pl.lit(told.facts))
    tables.write_part(part, job.outputs["part"], job.origin())


def _kinds(
    told: MeasureReliability, performance: Performance, *, primary: bool, **named: str
) -> pl.DataFrame:
    """All numbers of one comparison, or why there are none."""
    if len(performance.located) < told.minimum:
        return _too_few(told, len(performance.located), **named).with_columns(
            n_draws=len(performance.random)
        )
    found = ipp_intervals(performance, seed=told.seed)
    role = ["primary" if primary and kind == "ipp" else "" for kind in found]
    return of_estimates(list(found.values()), OVER_FACTS).with_columns(
        metric=pl.Series(list(found)), role=pl.Series(role), n_draws=len(performance.random),
        **{name: pl.lit(value) for name, value in named.items()},
    )  # fmt: skip


def _too_few(told: MeasureReliability, n: int, **named: str) -> pl.DataFrame:
    interval = not_computed(n, told.minimum)
    return pl.DataFrame({**named, "metric": "ipp", "interval": interval, "n": n})


def _by_set(rows: pl.DataFrame, control: str, name: str) -> tuple[Values, Values, Values]:
    """Outcomes of one rule: (fact,) located; (draw, fact) random, and of the spare draw."""
    located = rows.filter(control="")[name].to_numpy()
    # Every fact has every draw, and facts are in one order everywhere.
    drawn = rows.filter(control=control).sort("draw", maintain_order=True)[name].to_numpy()
    drawn = drawn.reshape(-1, len(located))
    return located, drawn[:-1], drawn[-1:]


def _kn(
    told: MeasureReliability, rows: pl.DataFrame, about: Mapping[str, Any]
) -> Iterator[pl.DataFrame]:
    yield exact(about["n_known"], about["n_known"], metric="facts")
    if about["empty"]:
        yield _counted("dropped", about["empty"], "locates no neuron")
    if rows.is_empty():
        yield _too_few(told, 0, control="layer", measure="suppress and enhance")
    for own in rows.partition_by("rule", maintain_order=True):
        rule = own["rule"][0]
        yield _located_count(own)
        for control in ("layer", "uniform"):
            base, low, high = (
                _by_set(own, control, name) for name in ("probability", "suppressed", "enhanced")
            )
            measures = {
                "suppress and enhance": [(h - x) / 2 for x, h in zip(low, high, strict=True)],
                "suppress": [b - x for b, x in zip(base, low, strict=True)],
                "enhance": [h - b for b, h in zip(base, high, strict=True)],
            }
            for measure, (located, drawn, spare) in measures.items():
                performance = Performance.of(located, drawn, base[0], spare)
                primary = control == "layer" and measure == "suppress and enhance"
                yield _kinds(told, performance, primary=primary, rule=rule, control=control,
                             measure=measure)  # fmt: skip


def _circuit(
    told: MeasureReliability, rows: pl.DataFrame, about: Mapping[str, Any]
) -> Iterator[pl.DataFrame]:
    yield exact(about["n_known"], about["n_known"], metric="facts")
    if rows.is_empty():
        yield _too_few(told, 0, control="connected", measure=f"Hit@{_HITS[-1]}")
    for i, own in enumerate(rows.partition_by("rule", maintain_order=True)):
        rule, sizes = own["rule"][0], own.filter(control="")["n_units"]
        yield _located_count(own)
        yield exact(int((sizes == 0).sum()), len(sizes), rule=rule, metric="empty_sets")
        ranks = _by_set(own, "connected", "rank")
        for k in _HITS:
            located, drawn, spare = (values <= k for values in ranks)
            hits = Performance.of(located, drawn, None, spare)
            yield _kinds(told, hits, primary=i == 0 and k == _HITS[-1], rule=rule,
                         control="connected", measure=f"Hit@{k}")  # fmt: skip


def _located_count(own: pl.DataFrame) -> pl.DataFrame:
    sizes = own.filter(control="")["n_units"].to_numpy()
    return exact(float(sizes.mean()), len(sizes), rule=own["rule"][0], metric="located_count")


def _counted(metric: str, value: int, why: str) -> pl.DataFrame:
    return pl.DataFrame({"metric": metric, "value": value, "interval": why})


def _rome(
    told: MeasureReliability, rows: pl.DataFrame, about: Mapping[str, Any]
) -> Iterator[pl.DataFrame]:
    n = rows["fact_id"].n_unique()
    yield exact(n, n, metric="facts")
    for reason, count in sorted(about["dropped"].items()):
        yield _counted("dropped", count, reason)
    for layer in about["singular_layers"]:
        found = _counted("singular", 1, "second moment singular: regularised")
        yield found.with_columns(layer=layer)
    if n < told.minimum:
        yield _too_few(told, n, control="other layers", measure="efficacy")
        return
    # What the edit of each layer achieves, and the unedited model (layer -1).
    names = [*_SHARES, "margin", "fluency", "effect"]
    long = rows.unpivot(names, index="layer", variable_name="measure").drop_nulls("value")
    every = bootstrapped(long, ["layer", "measure"], "value", told.seed, OVER_FACTS, told.minimum)
    yield every.with_columns(rule=pl.lit("every layer"), metric=pl.lit("mean"))
    edited = rows.filter(pl.col("layer") >= 0).sort("layer", maintain_order=True)
    cells = {name: edited[name].to_numpy().reshape(-1, n).T.copy() for name in names}
    layers = edited["layer"].unique(maintain_order=True).to_list()
    fixed = (
        int(cells["effect"].mean(0).argmax()) if told.layer is None else layers.index(told.layer)
    )
    yield from _edits(told, cells, layers, fixed)
    yield from _regression(told, cells["effect"], cells["margin"])


def _edits(
    told: MeasureReliability, cells: Mapping[str, Values], layers: Sequence[int], fixed: int
) -> Iterator[pl.DataFrame]:
    """The layer that counts as located against others, and the traced layer of each fact.

    Args:
        told: settings.
        cells: (fact, edited layer) by measure; NaN where a fact has no such prompts.
        layers: those that were edited.
        fixed: index among them of the one that counts as located.
    """
    traced = cells["effect"].argmax(1)
    for measure in (*_SHARES, "score"):
        names: Sequence[str] = _SHARES if measure == "score" else (measure,)
        first: Values = np.stack([cells[name][:, 0] for name in names])
        usable = np.isfinite(first).all(axis=0)
        n, n_facts = int(usable.sum()), len(cells["effect"])
        yield exact(n_facts - n, n_facts, measure=measure, metric="facts_without")
        # (layer, fact, part)
        found = np.stack([cells[name][usable].T for name in names], axis=-1)
        others = found[np.arange(len(found)) != fixed]
        for rule, control, own, pool in (
            (f"fixed layer {layers[fixed]}", "other layers", found[fixed], others),
            ("traced layer of each fact", "all layers", found[traced[usable], np.arange(n)], found),
        ):
            named = {"rule": rule, "control": control, "measure": measure}
            if not n or not len(pool):
                yield _too_few(told, n, **named)
                continue
            primary = rule.startswith("fixed") and measure == "efficacy"
            yield _kinds(told, Performance.of(own, pool), primary=primary, **named)


def _regression(
    told: MeasureReliability, effects: Values, margins: Values
) -> Iterator[pl.DataFrame]:
    """Does the tracing effect tell where an edit succeeds, or does the layer alone?"""
    found = explained_intervals(margins, effects, seed=told.seed)
    why = "not computed: edits achieve the same everywhere"
    for name in ("tracing", "layer", "both"):
        yield of_estimates([found.get(name, why)], OVER_FACTS).with_columns(
            rule=pl.lit("every layer"), measure=pl.lit(f"margin explained by {name}"),
            metric=pl.lit("r_squared"), n=len(margins),
        )  # fmt: skip
