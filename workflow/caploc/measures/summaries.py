"""Groups of a frame to rows of a table: value, interval and number of items of every group.

Each function takes a frame with one number a row, the columns that tell its groups apart and the
column of the number, and returns one row a group, in order of first appearance: the columns of the
group, then ``value, ci_low, ci_high, interval, n`` (and ``n_draws``). Put the name of the metric
beside them with ``with_columns(metric=pl.lit(...))``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.measures.effects import excess, stratified
from caploc.measures.statistics import Estimate, bootstrap_mean, holm, spread, wilson

__all__ = [
    "BOOTSTRAP",
    "WILSON",
    "averaged",
    "beyond",
    "bootstrapped",
    "drawn",
    "exact",
    "grids",
    "missing",
    "named",
    "not_computed",
    "of_estimates",
    "ranged",
    "shares",
    "with_holm",
]

BOOTSTRAP = "bootstrap 95 %"
WILSON = "Wilson 95 %"
_ESTIMATE = {
    "value": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64, "interval": pl.String,
    "n": pl.Int32,
}  # fmt: skip


def bootstrapped(
    frame: pl.DataFrame, by: Sequence[str], column: str, seed: int, interval: str = BOOTSTRAP,
    minimum: int = 1,
) -> pl.DataFrame:  # fmt: skip
    """Mean of each group with a percentile bootstrap interval; see `bootstrap_mean`.

    Args:
        frame: one number a row.
        by: columns of the groups.
        column: the numbers.
        seed: of the draws, the same for every group.
        interval: what the interval is called.
        minimum: fewer numbers than this have no value but the reason.
    """

    def of(values: pl.Series) -> Estimate | str:
        if len(values) < minimum:
            return not_computed(len(values), minimum)
        return bootstrap_mean(values.to_numpy(), seed=seed)

    return _each(frame, by, column, of, lambda _: interval)


def shares(frame: pl.DataFrame, by: Sequence[str], column: str) -> pl.DataFrame:
    """Share of the rows of each group that are true (or 1), with Wilson's interval."""
    return _each(frame, by, column, lambda v: wilson(int(v.sum()), len(v)), lambda _: WILSON)


def ranged(frame: pl.DataFrame, by: Sequence[str], column: str, of: str = "draws") -> pl.DataFrame:
    """Mean of each group with its range, for random draws or splits: no interval.

    Args:
        frame: one number a row, a draw each; null where a draw has none.
        by: columns of the groups.
        column: the numbers.
        of: what the rows of a group are, in words.
    """
    return _each(
        frame, by, column, lambda v: spread(v.to_list()) or not_computed(0, 1),
        lambda n: f"range over {n} {of}",
    )  # fmt: skip


def not_computed(n: int, minimum: int) -> str:
    """Why there is no value, in the column `interval`."""
    return f"not computed: n = {n}, needs {minimum}"


def of_estimates(found: Sequence[Estimate | str], interval: str = BOOTSTRAP) -> pl.DataFrame:
    """Estimates, or the reasons why there are none, as the columns of a table, one row each."""
    estimates = [e if isinstance(e, Estimate) else None for e in found]
    return pl.DataFrame(
        {
            "value": [e and e.value for e in estimates],
            "ci_low": [e and e.low for e in estimates],
            "ci_high": [e and e.high for e in estimates],
            "interval": [interval if isinstance(e, Estimate) else e for e in found],
            "n": [e and e.n for e in estimates],
        },
        schema=_ESTIMATE,
    )


def _each(
    frame: pl.DataFrame, by: Sequence[str], column: str,
    of: Callable[[pl.Series], Estimate | str], interval: Callable[[int], str],
) -> pl.DataFrame:  # fmt: skip
    groups = frame.group_by(list(by), maintain_order=True).agg(pl.col(column))
    found = [of(values) for values in groups[column]]
    sizes = groups[column].list.len()
    names = [
        interval(n) if isinstance(e, Estimate) else e for e, n in zip(found, sizes, strict=True)
    ]
    return _beside(groups.drop(column), found).with_columns(
        interval=pl.Series(names, dtype=pl.String), n=pl.col("n").fill_null(sizes.cast(pl.Int32))
    )


def _beside(groups: pl.DataFrame, found: Sequence[Estimate | str]) -> pl.DataFrame:
    return pl.concat([groups, of_estimates(found)], how="horizontal")


def named(frame: pl.DataFrame, **columns: str | int) -> pl.DataFrame:
    """Rows with what is the same for all of them.

    Args:
        frame: rows.
        columns: value of each column, by its name.
    """
    return frame.with_columns(**{name: pl.lit(value) for name, value in columns.items()})


def missing(reason: str, **columns: Any) -> pl.DataFrame:
    """One row without a value.

    Args:
        reason: why there is none.
        columns: what the row is about, by the name of the column.
    """
    return pl.DataFrame({**columns, "interval": [f"not computed: {reason}"], "n": [0]})


def exact(value: float | None, n: int, **columns: Any) -> pl.DataFrame:
    """One row with a number that has no interval."""
    return pl.DataFrame({**columns, "value": pl.Series([value], dtype=pl.Float64), "n": [n]})


def grids(
    frame: pl.DataFrame, by: Sequence[str], column: str, draw: str = "draw",
    item: str = "sample_id",
) -> tuple[pl.DataFrame, list[NDArray[np.float64]]]:  # fmt: skip
    """Groups of a frame as arrays that are paired: equal items are in the same place.

    Args:
        frame: one number a row, of one draw and item; every draw of a group has the same items.
        by: columns of the groups.
        column: the numbers; null becomes NaN.
        draw: tells the random sets, or the runs, of a group apart.
        item: tells the samples apart.

    Returns:
        The groups, one row each; (draw, item) numbers of each.
    """
    groups = (
        frame.sort(draw, item)
        .group_by(list(by), maintain_order=True)
        .agg(pl.col(column).cast(pl.Float64).fill_null(float("nan")), pl.col(draw).n_unique())
    )
    arrays = [
        values.to_numpy().reshape(n, -1)
        for values, n in zip(groups[column], groups[draw], strict=True)
    ]
    return groups.select(by), arrays


def drawn(
    frame: pl.DataFrame, by: Sequence[str], column: str, draw: str = "draw",
    item: str = "sample_id",
) -> pl.DataFrame:  # fmt: skip
    """Mean over the draws of each group, with their range; a draw is a mean over its items.

    The arguments are those of `grids`; ``n`` counts the items, ``n_draws`` the draws.
    """
    groups, arrays = grids(frame, by, column, draw, item)
    draws = [values.mean(axis=1) for values in arrays]
    found: list[Estimate | str] = [
        Estimate(float(d.mean()), float(d.min()), float(d.max()), values.shape[1])
        for d, values in zip(draws, arrays, strict=True)
    ]
    return _beside(groups, found).with_columns(
        interval=pl.Series([f"range over {len(d)} draws" for d in draws], dtype=pl.String),
        n_draws=pl.Series([len(d) for d in draws], dtype=pl.Int32),
    )


def beyond(
    own: pl.DataFrame, random: pl.DataFrame, by: Sequence[str], kind: Sequence[str], column: str,
    seed: int,
) -> pl.DataFrame:  # fmt: skip
    """Each set minus the mean of its random ones on the same samples; see `effects.excess`.

    Args:
        own: one row a set and ``sample_id``.
        random: one row a random set (``draw``) and ``sample_id``.
        by: columns that tell the sets apart, in both.
        kind: columns that tell kinds of random sets apart.
        column: effect, larger is stronger.
        seed: of the bootstrap.

    Returns:
        A row for each set and kind, with its estimate, ``n_draws`` and ``p``.
    """
    groups, arrays = grids(own.with_columns(draw=pl.lit(0)), by, column)
    sets = dict(zip(groups.iter_rows(), arrays, strict=True))
    groups, arrays = grids(random, [*by, *kind], column)
    found = [
        excess(sets[key][0], values, seed)
        for key, values in zip(groups.select(by).iter_rows(), arrays, strict=True)
    ]
    return _beside(groups, [e.estimate for e in found]).with_columns(
        n_draws=pl.Series([e.n_draws for e in found], dtype=pl.Int32),
        p=pl.Series([e.p for e in found], dtype=pl.Float64),
    )


def averaged(
    frame: pl.DataFrame, by: Sequence[str], within: str, column: str, seed: int, what: str
) -> pl.DataFrame:
    """Mean of the means of the parts of each group, resampled within parts; see `stratified`.

    Args:
        frame: one number a row.
        by: columns of the groups.
        within: tells the parts of a group apart.
        column: the numbers.
        seed: of the draws.
        what: what the parts are, in words.
    """
    parts = frame.group_by([*by, within], maintain_order=True).agg(column)
    groups = parts.group_by(list(by), maintain_order=True).agg(column)
    found = [stratified(values.to_list(), seed) for values in groups[column]]
    return _beside(groups.drop(column), found).with_columns(
        interval=pl.format(f"{{}}, mean of {{}} {what}", "interval", groups[column].list.len())
    )


def with_holm(frame: pl.DataFrame, role: str = "primary") -> pl.DataFrame:
    """Adjust the p values of the rows of a role, all of them as one family, see `holm`."""
    family = pl.col("role") == role
    chosen = frame.filter(family)
    adjusted = pl.Series("p_holm", holm(chosen["p"].to_list()), dtype=pl.Float64)
    rest = frame.filter(family.ne_missing(True))
    return pl.concat([rest, chosen.with_columns(adjusted)], how="diagonal")
