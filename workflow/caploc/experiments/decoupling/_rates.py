"""Coincidence rates of located sets as rows of the table `decoupling`, beside what chance gives.

A rate is C12 (the two parts of a pair; a mean over pairs), or C11 or C22 (one part; what the sets
of all pairs share, one number).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.decoupling._coincidence import (
    CELLS,
    EFFECTS,
    NAMES,
    Units,
    bootstrap_effects,
    chance_all,
    chance_pairs,
    coincidence,
    common,
    compact,
    compared,
    counts_by_layer,
    curve,
    draw_like,
    effects,
    matched,
    two_way,
)  # fmt: skip
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
    sets: Sets, per_layer: Sequence[int], *, draws: int, orders: int, seed: int
) -> Iterator[pl.DataFrame]:
    """Rates of the sets of form 0, none of them empty, with what chance gives and the curve.

    Args:
        sets: per prompt (`NAMES`) the located units of every pair.
        per_layer: units in each layer.
        draws: random sets in place of each located one, drawn from all units and by layer.
        orders: random orders of the curve.
        seed: of the draws, orders and intervals.
    """
    n, total = len(sets["10"]), sum(per_layer)
    by_part = sets["10"], sets["20"]
    for part, of_part in zip("12", by_part, strict=True):
        size = float(np.mean([len(units) for units in of_part]))
        yield exact(size, n, comparison=f"part {part}", metric="located_count", norm="size")
        found = curve(of_part, _sizes(n), orders, seed)
        points = pl.DataFrame({"n_sets": list(found), "value": list(found.values())})
        points = ranged(points.explode("value"), ["n_sets"], "value", "orders")
        points = named(points, comparison=f"C{part}{part}", metric="curve", norm="size")
        yield named(points, n=n, n_draws=orders)
    for rate, parts in _RATES.items():
        groups = [by_part[part] for part in parts]
        together = compared(groups)
        expected = _expected([counts_by_layer(group, per_layer) for group in groups], per_layer)
        norms = [
            ("size", [coincidence(one) or 0.0 for one in together], expected),
            ("LJ", [len(common(one)) / total for one in together], {}),
        ]
        drawn = _drawn(rate, groups, per_layer, draws, seed)
        yield from _rate(rate, norms, n, seed, drawn)


def _rate(
    rate: str, norms: Iterable[tuple[str, Sequence[float], Mapping[str, float]]], n: int, seed: int,
    drawn: Iterable[pl.DataFrame] = (),
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """Values by normalisation, each beside its expectations by control."""
    rows = list(drawn)
    for norm, values, expected in norms:
        if len(values) == 1:
            # A set drawn twice would count once: no bootstrap.
            found = exact(values[0], n, interval="no interval: one intersection")
        else:
            found = of_estimates([bootstrap_mean(values, seed=seed)], _BOOTSTRAP)
        chance = [exact(value, n, control=control) for control, value in expected.items()]
        rows += [named(frame, norm=norm) for frame in (found, *chance)]
    n_sets = 2 if rate == "C12" else n
    return (named(row, comparison=rate, metric="coincidence", n_sets=n_sets) for row in rows)


def _expected(counts: Sequence[Counts], per_layer: Sequence[int]) -> dict[str, float]:
    """Rates of random sets, in the size normalisation; (pair, layer) counts of each part."""

    def mean(counts: Sequence[Counts], sizes: Sequence[int]) -> float:
        sets = compared([list(of_part) for of_part in counts])
        return float(np.mean([chance_all(np.array(one), sizes) for one in sets]))

    anywhere = [of_part.sum(axis=1, keepdims=True) for of_part in counts]
    uniform, by_layer = mean(anywhere, [sum(per_layer)]), mean(counts, per_layer)
    return {"expected uniform": uniform, "expected by layer": by_layer}


def _drawn(
    rate: str, groups: Sequence[Sequence[Units]], per_layer: Sequence[int], draws: int, seed: int
) -> Iterator[pl.DataFrame]:
    """The same rate of random sets of equal size."""
    for control, by_layer in (("random uniform", False), ("random by layer", True)):
        rng = np.random.default_rng([seed, *rate.encode(), by_layer])
        values = []
        for _ in range(draws):
            drawn = [
                [draw_like(units, per_layer, rng, by_layer=by_layer) for units in group]
                for group in groups
            ]
            values.append(np.mean([coincidence(one) or 0.0 for one in compared(drawn)]))
        rows = named(pl.DataFrame({"value": values}), control=control)
        yield named(ranged(rows, ["control"], "value"), norm="size", n=len(groups[0]),
                    n_draws=draws)  # fmt: skip


def _sizes(n: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... sets and all of them."""
    return sorted({*(m * 10**e for e in range(6) for m in (1, 2, 5) if m * 10**e < n), n})


def matched_effects(sets: Sets, per_layer: Sequence[int], seed: int) -> Iterator[pl.DataFrame]:
    """The matched comparison and its effects, with what the layers alone would give.

    The effects of main part and task are the primary numbers.

    Args:
        sets: per prompt (`NAMES`) the located units of every pair, none of them empty.
        per_layer: units in each layer.
        seed: of the bootstrap.
    """
    found = bootstrap_effects(matched(compact(sets), two_way), seed=seed)
    counts = {name: counts_by_layer(sets[name], per_layer) for name in NAMES}
    expected = effects(matched(counts, partial(chance_pairs, per_layer=per_layer)))
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
        norms = [
            ("LJ", found, {name: value * size / total for name, value in expected.items()}),
            ("size", [value * total / size for value in found], expected),
        ]
        yield from _rate(rate, norms, len(both), seed)
