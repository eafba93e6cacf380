"""IPP: how much better a located set does than the best of several random ones.

Every fact has one number for the located set and one for each of R random sets. The performance of
a choice is the mean over facts, or a ratio of sums: sum_f x_f / sum_f b_f, because a mean of ratios
explodes where a probability is near 0. In percentage points of the metric,

    IPP = performance(located) - max_r performance(random r)

The largest of R draws grows with R, so R belongs to every number, and beside it stand:

    best per fact     the best draw is chosen for every fact anew
    mean of random    no draw is chosen
    cross-fitted      the draw is chosen on one half of the facts and scored on the other
    null              a random draw in the place of the located set (each in turn)

Source: Huang et al., Capability Localization, ICLR 2025, section 3.2; number of draws and metrics
are not printed there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caploc.measures.statistics import Estimate

__all__ = ["KINDS", "Performance", "explained", "explained_intervals", "ipp", "ipp_intervals"]

Values = NDArray[np.float64]
KINDS = ("located", "best random", "ipp", "best per fact", "mean of random", "cross-fitted", "null")
_HALVINGS = 20


@dataclass(frozen=True, slots=True)
class Performance:
    """What a located set and random sets do to every fact.

    Several parts are averaged over facts one by one and then combined by their harmonic mean.

    Attributes:
        located: (fact, part) larger is better, or stronger.
        random: (draw, fact, part) the same for R random sets, R >= 1.
        base: (fact,) divisor of the ratio of sums; all 1 for a mean.
        spare: (further draw, fact, part) draws that are in no maximum of `located`, for the null
            row; may have no rows, then a draw is compared with the R - 1 others.
    """

    located: Values
    random: Values
    base: Values
    spare: Values

    @classmethod
    def of(
        cls,
        located: ArrayLike,
        random: ArrayLike,
        base: ArrayLike | None = None,
        spare: ArrayLike | None = None,
    ) -> "Performance":
        """From lists; without the last axis there is one part.

        Raises:
            ValueError: no facts, no draws, shapes that do not fit, or a divisor that is not > 0.
        """
        own, others = np.asarray(located, dtype=float), np.asarray(random, dtype=float)
        extra = others[:0] if spare is None else np.asarray(spare, dtype=float)
        if own.ndim == 1:
            own, others, extra = own[:, None], others[..., None], extra[..., None]
        divisor = np.ones(len(own)) if base is None else np.asarray(base, dtype=float)
        if own.ndim != 2 or not own.size or others.ndim != 3 or not len(others):
            raise ValueError(f"located {own.shape}, random {others.shape}: nothing to compare")
        if others.shape[1:] != own.shape or extra.shape[1:] != own.shape:
            raise ValueError(
                f"located {own.shape}, random {others.shape}, spare {extra.shape}: not the same "
                "facts"
            )
        if divisor.shape != own.shape[:1]:
            raise ValueError(f"{len(own)} facts, {divisor.shape} divisors")
        if not (divisor > 0).all():
            raise ValueError("a divisor is not above 0")
        return cls(own, others, divisor, extra)


def ipp(performance: Performance) -> dict[str, float]:
    """IPP and what stands beside it, see the module; values by the names of `KINDS`.

    Returns:
        Fractions; `null` is missing if there is only one draw in all, `cross-fitted` if there is
        only one fact, `best per fact` if there are several parts.
    """
    once = np.ones((1, len(performance.located)))
    return {name: float(values[0]) for name, values in _weighted(performance, once).items()}


def _weighted(performance: Performance, weights: Values) -> dict[str, Values]:
    """`ipp` of many bootstrap draws at once.

    Args:
        performance: of the facts.
        weights: (bootstrap draw, fact) how often each fact counts.

    Returns:
        (bootstrap draw,) values by name.
    """

    def mean(values: Values, part: Values = weights) -> Values:
        """(..., fact, part) -> (..., bootstrap draw): over facts, then over parts."""
        with np.errstate(divide="ignore", invalid="ignore"):
            sums = np.einsum("...fk,bf->...bk", values, part) / (part @ performance.base)[:, None]
        return sums[..., 0] if sums.shape[-1] == 1 else _harmonic(sums)

    located, draws = mean(performance.located), mean(performance.random)
    best = draws.max(axis=0)
    found = {
        "located": located,
        "best random": best,
        "ipp": located - best,
        "mean of random": located - draws.mean(axis=0),
    }
    if performance.located.shape[1] == 1:
        found["best per fact"] = located - mean(performance.random.max(axis=0))
    crossed = []
    for half in _halves(len(performance.located)):
        first, second = weights * half, weights * ~half
        # A bootstrap draw may have no fact in one half: it has no value there.
        usable = (first.sum(1) > 0) & (second.sum(1) > 0)
        for choose, score in ((first, second), (second, first)):
            chosen = np.where(usable, mean(performance.random, choose), 0.0).argmax(axis=0)
            scored = np.take_along_axis(mean(performance.random, score), chosen[None], 0)[0]
            crossed.append(np.where(usable, mean(performance.located, score) - scored, np.nan))
    if crossed:
        known = ~np.isnan(crossed)
        total = np.where(known, crossed, 0.0).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found["cross-fitted"] = total / known.sum(axis=0)
    pool = np.concatenate([draws, mean(performance.spare)])
    if len(pool) > 1:
        top = np.sort(pool, axis=0)
        # The best of the others: the second best for the best one itself.
        is_best = np.arange(len(pool))[:, None] == pool.argmax(axis=0)
        found["null"] = (pool - np.where(is_best, top[-2], top[-1])).mean(axis=0)
    return found


def _harmonic(means: Values) -> Values:
    """Over the last axis; 0 where a part is 0."""
    positive = (means > 0).all(-1)
    safe = np.where(means > 0, means, 1.0)
    return np.where(positive, means.shape[-1] / (1 / safe).sum(-1), 0.0)


def _halves(n: int) -> list[NDArray[np.bool_]]:
    """Random halves of the facts, the same for every bootstrap draw."""
    if n < 2:
        return []
    rng = np.random.default_rng(n)
    halves = []
    for _ in range(_HALVINGS):
        half = np.zeros(n, dtype=np.bool_)
        half[rng.permutation(n)[: n // 2]] = True
        halves.append(half)
    return halves


def ipp_intervals(
    performance: Performance, *, seed: int, n_draws: int = 1_000
) -> dict[str, Estimate]:
    """`ipp` with 95 % percentile intervals over facts; every maximum is taken anew in each draw."""
    rng = np.random.default_rng(seed)
    n = len(performance.located)
    weights = np.stack(
        [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_draws)]
    ).astype(float)
    drawn = _weighted(performance, weights)
    result = {}
    for name, value in ipp(performance).items():
        low, high = np.nanquantile(drawn[name], [0.025, 0.975])
        result[name] = Estimate(value, float(low), float(high), n)
    return result


def explained_intervals(
    success: Values, effect: Values, *, seed: int, n_draws: int = 200
) -> dict[str, Estimate]:
    """`explained` with 95 % percentile intervals over facts; no number where it does not vary."""
    value, n = explained(success, effect), len(success)
    rng = np.random.default_rng(seed)
    drawn = [
        explained(success, effect, np.bincount(rng.integers(n, size=n), minlength=n).tolist())
        for _ in range(n_draws)
    ]
    found = {}
    for name in value:
        if values := [d[name] for d in drawn if name in d]:
            low, high = np.quantile(values, [0.025, 0.975])
            found[name] = Estimate(value[name], float(low), float(high), n)
    return found


def explained(
    success: Values, effect: Values, weights: Sequence[int] | None = None
) -> dict[str, float]:
    """Share of the variance of edit success that tracing effects and the layer explain (R squared).

    Least squares over all (fact, layer) cells, with an intercept.

    Args:
        success: (fact, layer) what the edit at that layer achieves.
        effect: (fact, layer) tracing effect.
        weights: (fact,) how often each fact counts; None means once.

    Returns:
        ``tracing``: by the effect alone; ``layer``: by one mean for each layer; ``both``. Empty if
        success does not vary.

    Source: Hase et al. 2023, Does Localization Inform Editing?, section 5.
    """
    rows = np.arange(len(success))
    if weights is not None:
        rows = np.repeat(rows, weights)
    y, x = success[rows].ravel(), effect[rows].ravel()
    layers = np.tile(np.eye(success.shape[1]), (len(rows), 1))
    total = ((y - y.mean()) ** 2).sum()
    if total <= 1e-12 * max(1.0, float((y**2).sum())):
        return {}
    designs = {
        "tracing": np.column_stack([np.ones(len(y)), x]),
        "layer": layers,
        "both": np.column_stack([layers, x]),
    }
    found = {}
    for name, design in designs.items():
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        found[name] = float(1 - ((y - fitted) ** 2).sum() / total)
    return found
