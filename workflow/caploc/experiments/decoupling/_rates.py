"""Coincidence rates of located sets as rows of the table `decoupling`, beside what chance gives.

A rate is C12 (the two parts of a pair; a mean over pairs), or C11 or C22 (one part; what the sets
of all pairs share, one number).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.decoupling import _coincidence as rates
from caploc.experiments.decoupling._coincidence import CELLS, EFFECTS, NAMES, Units
from caploc.experiments.decoupling.settings import MeasureDecoupling
from caploc.measures.means import default_curve
from caploc.measures.statistics import bootstrap_mean
from caploc.measures.summaries import exact, named, not_computed, of_estimates, ranged

__all__ = ["located_rates", "matched_effects", "missing_rates", "top_rates"]

Counts = NDArray[np.int64]
Sets = Mapping[str, Sequence[Units]]
_RATES = {"C12": (0, 1), "C11": (0,), "C22": (1,)}
"""Parts that a rate compares."""
_BOOTSTRAP = "bootstrap over pairs, 95 %"
_METRIC = (
    pl.when(pl.col("comparison").is_in(EFFECTS))
    .then(pl.lit("effect"))
    .otherwise(pl.lit("coincidence"))
)


def missing_rates(n: int, minimum: int) -> pl.DataFrame:
    """A row without a value for every rate and effect, where there are too few pairs."""
    rows = pl.DataFrame({"comparison": [*_RATES, *CELLS, *EFFECTS]}).with_columns(metric=_METRIC)
    return named(rows, norm="size", interval=not_computed(n, minimum), n=n)


def located_rates(
    sets: Sets, per_layer: Sequence[int], told: MeasureDecoupling
) -> Iterator[pl.DataFrame]:
    """Rates of the sets of form 0, none of them empty, with what chance gives and the curve.

    Args:
        sets: per prompt (`NAMES`) the located units of every pair.
        per_layer: units in each layer.
        told: number of random sets, drawn from all units and by layer; of orders of the curve.
    """
    n, total = len(sets["10"]), sum(per_layer)
    by_part = sets["10"], sets["20"]
    for part, of_part in zip("12", by_part, strict=True):
        size = float(np.mean([len(units) for units in of_part]))
        yield exact(size, n, comparison=f"part {part}", metric="located_count", norm="size")
        found = rates.curve(of_part, default_curve(n), told.orders, told.seed)
        points = pl.DataFrame({"n_sets": list(found), "value": list(found.values())})
        points = ranged(points.explode("value"), ["n_sets"], "value", "orders")
        points = named(points, comparison=f"C{part}{part}", metric="curve", norm="size")
        yield named(points, n=n, n_draws=told.orders)
    for rate, parts in _RATES.items():
        groups = [by_part[part] for part in parts]
        together = rates.compared(groups)
        values = {
            "size": [rates.coincidence(one) or 0.0 for one in together],
            "LJ": [len(rates.common(one)) / total for one in together],
        }
        counts = [rates.counts_by_layer(group, per_layer) for group in groups]
        chance = {"size": _expected(counts, per_layer)}
        yield from _rate(rate, values, chance, n, told.seed)
        drawn = _drawn(rate, groups, per_layer, told)
        n_sets = 2 if rate == "C12" else n
        yield named(drawn, comparison=rate, metric="coincidence", n_sets=n_sets)


def _rate(
    rate: str, values: Mapping[str, Sequence[float]], chance: Mapping[str, Mapping[str, float]],
    n: int, seed: int,
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """Values by normalisation, and what chance gives by normalisation and control."""
    for norm, found in values.items():
        if len(found) == 1:
            # A set drawn twice would count once: no bootstrap.
            own = exact(found[0], n, interval="no interval: one intersection")
        else:
            own = of_estimates([bootstrap_mean(found, seed=seed)], _BOOTSTRAP)
        expected = chance.get(norm, {}).items()
        for frame in (own, *(exact(value, n, control=name) for name, value in expected)):
            about = {"comparison": rate, "metric": "coincidence", "norm": norm}
            yield named(frame, **about, n_sets=2 if rate == "C12" else n)


def _expected(counts: Sequence[Counts], per_layer: Sequence[int]) -> dict[str, float]:
    """Rates of random sets, in the size normalisation; (pair, layer) counts of each part."""

    def mean(counts: Sequence[Counts], sizes: Sequence[int]) -> float:
        sets = rates.compared([list(of_part) for of_part in counts])
        return float(np.mean([rates.chance_all(np.array(one), sizes) for one in sets]))

    anywhere = [of_part.sum(axis=1, keepdims=True) for of_part in counts]
    uniform, by_layer = mean(anywhere, [sum(per_layer)]), mean(counts, per_layer)
    return {"expected uniform": uniform, "expected by layer": by_layer}


def _drawn(
    rate: str, groups: Sequence[Sequence[Units]], per_layer: Sequence[int], told: MeasureDecoupling
) -> pl.DataFrame:
    """The same rate of random sets of equal size."""
    values = []
    controls = ("random uniform", [sum(per_layer)]), ("random by layer", per_layer)
    for by_layer, (control, sizes) in enumerate(controls):
        rng = np.random.default_rng([told.seed, *rate.encode(), by_layer])
        for _ in range(told.draws):
            drawn = [[rates.draw_like(units, sizes, rng) for units in group] for group in groups]
            found = [rates.coincidence(one) or 0.0 for one in rates.compared(drawn)]
            values.append((control, float(np.mean(found))))
    rows = pl.DataFrame(values, ["control", "value"], orient="row")
    rows = ranged(rows, ["control"], "value")
    return named(rows, norm="size", n=len(groups[0]), n_draws=told.draws)


def matched_effects(sets: Sets, per_layer: Sequence[int], seed: int) -> Iterator[pl.DataFrame]:
    """The matched comparison and its effects, with what the layers alone would give.

    The effects of main part and task are the primary numbers.

    Args:
        sets: per prompt (`NAMES`) the located units of every pair, none of them empty.
        per_layer: units in each layer.
        seed: of the bootstrap.
    """
    found = rates.bootstrap_effects(rates.matched(rates.compact(sets), rates.two_way), seed=seed)
    counts = {name: rates.counts_by_layer(sets[name], per_layer) for name in NAMES}
    chance = rates.matched(counts, partial(rates.chance_pairs, per_layer=per_layer))
    expected = rates.effects(chance)
    rows = pl.DataFrame({"comparison": list(found)}).with_columns(metric=_METRIC)
    rows = named(rows, norm="size", n_sets=2)
    role = pl.when(pl.col("comparison").is_in(["main part", "task"])).then(pl.lit("primary"))
    own = of_estimates(list(found.values()), _BOOTSTRAP)
    yield pl.concat([rows.with_columns(role=role), own], how="horizontal")
    rows = rows.with_columns(value=pl.Series([expected[name] for name in found]))
    yield named(rows, control="expected by layer", n=len(sets["10"]))


def top_rates(
    scores: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]], share: float,
    per_layer: Sequence[int], seed: int,
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """Rates of the literal reading: a share of all units with the largest scores.

    Args:
        scores: per pair the (unit,) scores of part 1 and of part 2.
        share: of all units.
        per_layer: units in each layer.
        seed: of the intervals.
    """
    total = sum(per_layer)
    size = max(1, round(share * total))
    starts = np.cumsum([0, *per_layer[:-1]])
    both, by_layer, shared = [], [], np.ones((2, total), dtype=np.bool_)
    for pair in scores:
        top = np.zeros((2, total), dtype=np.bool_)
        largest = np.argsort(-np.stack(pair), axis=1, kind="stable")[:, :size]
        np.put_along_axis(top, largest, True, axis=1)
        both.append(np.count_nonzero(top.all(axis=0)) / total)
        by_layer.append(np.add.reduceat(top, starts, axis=1, dtype=np.int64))
        shared &= top
    counts = np.stack(by_layer, axis=1)  # (part, pair, layer)
    for rate, parts in _RATES.items():
        found = both if rate == "C12" else [np.count_nonzero(shared[parts]) / total]
        expected = _expected([counts[part] for part in parts], per_layer)
        values = {"LJ": found, "size": [value * total / size for value in found]}
        literal = {name: value * size / total for name, value in expected.items()}
        yield from _rate(rate, values, {"LJ": literal, "size": expected}, len(both), seed)
