"""Do the neurons of a data set hurt that data set more than the neurons of the others do?

All sets have as many neurons and were located in the same way, each for its own data set, and all
are tried on the same test samples. Without a link between a set and its data set, any dealing of
the sets to the data sets is as likely as the real one, so counting dealings gives an exact p. That
some sets do more harm than others, or that some data sets suffer more, moves every dealing alike.
"""

from collections.abc import Iterator, Mapping
from itertools import permutations
from math import factorial

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from caploc.measures.effects import stratified
from caploc.measures.statistics import bootstrap_mean
from caploc.measures.summaries import missing, of_estimates

__all__ = ["NO_OTHERS", "dealing_test", "own_rows"]

NO_OTHERS = "fewer than two data sets have a set of neurons"
MOST_DEALINGS = 40_320
"""All dealings of 8 data sets; of more data sets as many are drawn."""


def dealing_test(grid: ArrayLike, seed: int) -> tuple[float, int]:
    """Share of the dealings of sets to data sets whose mean surplus is at least the real one.

    Args:
        grid: (source, target) mean falls, square.
        seed: of the dealings drawn where there are more than `MOST_DEALINGS`.

    Returns:
        p, never below 1 over the number of dealings, and that number.
    """
    falls = np.asarray(grid, dtype=np.float64)
    n = len(falls)
    if factorial(n) <= MOST_DEALINGS:
        dealt = np.array(list(permutations(range(n))))
    else:
        rng = np.random.default_rng(seed)
        drawn = rng.permuted(np.tile(np.arange(n), (MOST_DEALINGS - 1, 1)), axis=1)
        dealt = np.concatenate([np.arange(n)[None], drawn])
    # The mean surplus grows with the sum of the own falls alone: the sum of all falls stays.
    sums = falls[dealt, np.arange(n)].sum(axis=1)
    # Rounding must not exclude the real dealing.
    return float((sums >= np.trace(falls) - 1e-12).mean()), len(dealt)


def own_rows(
    falls: Mapping[tuple[str, str], NDArray[np.float64]], metric: str, seed: int, primary: bool
) -> Iterator[pl.DataFrame]:
    """Rows of the table: own fall minus the mean of the others', of each data set and on average.

    The average has its p; the interval of a data set is over its test samples.

    Args:
        falls: (source, target) -> (sample,) falls; the samples of a target are the same for every
            source. A source without a set is absent, and left out as a target, too.
        metric: name of the metric.
        seed: of bootstrap and dealings.
        primary: whether the mean is the primary test.
    """
    sources = list(dict.fromkeys(source for source, _ in falls))
    targets = [target for target in sources if (target, target) in falls]
    if len(targets) < 2:
        yield missing(NO_OTHERS, metric=metric)
        return
    grids = [np.stack([falls[s, t] for s in targets]) for t in targets]
    grid = np.stack([g.mean(axis=1) for g in grids], axis=1)
    surpluses = [g[k] - np.delete(g, k, axis=0).mean(axis=0) for k, g in enumerate(grids)]
    yield of_estimates([bootstrap_mean(one, seed=seed) for one in surpluses]).with_columns(
        target=pl.Series(targets), metric=pl.lit(metric), role=pl.lit("exploratory")
    )
    p, n_dealings = dealing_test(grid, seed)
    yield of_estimates([stratified(surpluses, seed)]).with_columns(
        metric=pl.lit(metric), p=pl.lit(p), n_draws=pl.lit(n_dealings, pl.Int32),
        role=pl.lit("primary" if primary else "exploratory"),
    )  # fmt: skip
