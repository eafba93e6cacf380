"""Neurons of one data set silenced, another one answered: frames of samples to rows of the table.

A frame has one row for each set (``arm`` says which kind, ``source`` whose neurons), random draw
(``control``, ``draw``) and sample of a ``target``.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.erasure._crossing import contrast, contrast_of, label_test
from caploc.experiments.erasure._own_damage import own_rows
from caploc.measures.summaries import (
    beyond,
    bootstrapped,
    drawn,
    exact,
    grids,
    missing,
    of_estimates,
)

__all__ = ["NO_CONTRAST", "cells", "contrasts", "dealt", "falls", "own_damage", "unchanged"]

NO_CONTRAST = "no two data sets of one capability beside another one"
_CELL = ["target", "arm", "source"]
_IS_SET = pl.col("control") == ""
_IS_BASE = pl.col("arm") == "base"


def falls(table: pl.DataFrame, chance: float) -> pl.DataFrame:
    """Falls of one target: in nat per token, and of accuracy relative to what it is above chance.

    Args:
        table: ``logprob``, ``n_right``, ``n_tokens``.
        chance: accuracy of always giving the commonest answer.

    Returns:
        The rows in the order of their samples with ``logprob`` and ``relative`` (null where there
        is nothing to lose), and of the unchanged model ``logprob_base`` and ``exact_base``.
    """
    scored = table.sort("sample_id").with_columns(
        _logprob=pl.col("logprob") / pl.col("n_tokens"),
        _exact=(pl.col("n_right") == pl.col("n_tokens")).cast(pl.Float64),
    )
    base = scored.filter(_IS_BASE).select("sample_id", logprob_base="_logprob", exact_base="_exact")
    above = float(base["exact_base"].to_numpy().mean()) - chance
    factor = pl.lit(1 / above if above > 0 else None, pl.Float64)
    return scored.join(base, on="sample_id", maintain_order="left").select(
        "arm", "source", "control", "draw", "sample_id", "logprob_base", "exact_base",
        logprob=pl.col("logprob_base") - pl.col("_logprob"),
        relative=(pl.col("exact_base") - pl.col("_exact")) * factor,
    )  # fmt: skip


def _sets(
    table: pl.DataFrame | None, kind: str, effect: str
) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Rows of the located sets of a kind and of their random sets; None without any."""
    if table is None:
        return None
    found = table.filter(pl.col("arm") == kind, pl.col(effect).is_not_null())
    return None if found.is_empty() else (found.filter(_IS_SET), found.filter(~_IS_SET))


def cells(table: pl.DataFrame | None, kind: str, effect: str, seed: int) -> Iterator[pl.DataFrame]:
    """Fall of the set, fall of its random sets, and the difference, of every pair."""
    sets = _sets(table, kind, effect)
    if sets is None:
        return
    own, random = sets
    excess = beyond(own, random, _CELL, [], effect, seed)
    for name, found in (
        ("fall", bootstrapped(own, _CELL, effect, seed)),
        ("fall_random", drawn(random, _CELL, effect)),
        ("excess", excess.with_columns(role=pl.lit("exploratory"))),
    ):
        yield found.drop("arm").with_columns(metric=pl.lit(f"{effect}_{name}"))


def own_damage(
    table: pl.DataFrame | None, kind: str, effect: str, seed: int, primary: bool
) -> Iterator[pl.DataFrame]:
    """Own neurons against those of the others, see `_own_damage`."""
    sets = _sets(table, kind, effect)
    if sets is not None:
        found = _keyed(grids(sets[0], ["source", "target"], effect))
        falls = {key: values[0] for key, values in found}
        yield from own_rows(falls, f"{effect}_own", seed, primary)


def contrasts(
    table: pl.DataFrame | None, kind: str, effect: str, types: Mapping[str, str], seed: int
) -> Iterator[pl.DataFrame]:
    """Same against other capability: with its interval, its null, and dealt-out labels."""
    name, tasks, labels = f"{effect}_contrast", list(types), list(types.values())
    sets = _sets(table, kind, effect)
    fall, draws = {}, {}
    if sets is not None:
        own, random = (grids(frame, ["source", "target"], effect) for frame in sets)
        fall = {_place(key, tasks): found[0] for key, found in _keyed(own)}
        draws = {_place(key, tasks): found for key, found in _keyed(random)}
    # By target, then by source: the order in which samples are drawn.
    fall = dict(sorted(fall.items(), key=lambda item: item[0][::-1]))
    found = contrast(fall, draws, labels, seed) if fall else None
    if found is None:
        yield missing(NO_CONTRAST, metric=name)
        return
    yield of_estimates([found.estimate]).with_columns(
        metric=pl.lit(name), p=pl.lit(found.p, pl.Float64), n_draws=pl.lit(found.n_draws),
        role=pl.lit("exploratory"),
    )  # fmt: skip
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for key, values in fall.items():
        matrix[key] = values.mean() - draws[key].mean()
    yield from dealt(matrix, labels, name)


def _keyed(
    found: tuple[pl.DataFrame, list[NDArray[np.float64]]],
) -> Iterator[tuple[tuple[str, str], NDArray[np.float64]]]:
    groups, arrays = found
    yield from zip(groups.iter_rows(), arrays, strict=True)


def _place(key: tuple[str, str], tasks: list[str]) -> tuple[int, int]:
    return tasks.index(key[0]), tasks.index(key[1])


def dealt(matrix: NDArray[np.float64], labels: list[str], name: str) -> Iterator[pl.DataFrame]:
    """The contrast of a (source, target) matrix beside those of all ways to deal the labels out."""
    found = label_test(matrix, labels)
    if found is not None:
        p, ways = found
        yield exact(
            contrast_of(matrix, labels), len(labels), metric=f"{name}_labels", p=p, n_draws=ways,
            interval=f"all {ways} ways to deal the labels out", role="exploratory",
        )  # fmt: skip


def unchanged(table: pl.DataFrame | None, seed: int) -> Iterator[pl.DataFrame]:
    """What the unchanged model makes of each target."""
    for name in ("logprob_base", "exact_base") if table is not None else ():
        assert table is not None
        found = bootstrapped(table.filter(_IS_BASE), ["target"], name, seed)
        yield found.with_columns(metric=pl.lit(name))
