"""Groups of a frame to rows of a table: value, interval and number of items of every group.

Each function takes a frame with one number a row, the columns that tell its groups apart and the
column of the number, and returns one row a group, in order of first appearance: the columns of the
group, then ``value, ci_low, ci_high, interval, n`` (and ``n_draws``). Put the name of the metric
beside them with ``with_columns(metric=pl.lit(...))``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from caploc.measures.statistics import Estimate, bootstrap_mean, spread, wilson

__all__ = [
    "BOOTSTRAP",
    "WILSON",
    "bootstrapped",
    "not_computed",
    "of_estimates",
    "ranged",
    "shares",
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
    found: list[Any] = [of(values) for values in groups[column]]
    sizes = groups[column].list.len().to_list()
    estimates = of_estimates(found, "")
    names = [
        interval(n) if isinstance(e, Estimate) else e for e, n in zip(found, sizes, strict=True)
    ]
    estimates = estimates.with_columns(
        interval=pl.Series(names, dtype=pl.String),
        n=pl.when(pl.col("n").is_null()).then(pl.Series(sizes, dtype=pl.Int32)).otherwise("n"),
    )
    return pl.concat([groups.drop(column), estimates], how="horizontal")
