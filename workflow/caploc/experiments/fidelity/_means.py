"""Means over facts, and over groups of facts, as rows of the tables of this experiment."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from caploc.experiments.fidelity._comparisons import CONTROLS, METRICS, FactSets
from caploc.experiments.fidelity.settings import Averaged
from caploc.measures.summaries import bootstrapped, exact, named, not_computed, ranged

__all__ = ["averaged", "located_size", "long", "of_facts", "over_groups"]


def long(frame: pl.DataFrame, *index: str) -> pl.DataFrame:
    """One row a metric: ``metric`` and ``value`` beside the columns of `index`."""
    return frame.unpivot(list(METRICS), index=index, variable_name="metric")


def located_size(facts: Sequence[FactSets]) -> list[pl.DataFrame]:
    """Mean number and mean share of units that the original prompts locate; nothing of no fact."""
    if not facts:
        return []
    size = float(np.mean([np.count_nonzero(fact.original) for fact in facts]))
    share = size / facts[0].original.size
    found = {"located_count": size, "located_share": share}
    return [exact(value, len(facts), metric=name) for name, value in found.items()]


def averaged(frame: pl.DataFrame, by: Sequence[str], told: Averaged) -> pl.DataFrame:
    """Mean of each group over facts with a bootstrap interval, or why there is none.

    Args:
        frame: one fact a row, its number in ``value``; null where it has none.
        by: columns of the groups.
        told: fewer facts than the minimum are not averaged.
    """
    some, interval = frame.drop_nulls("value"), "bootstrap over facts, 95 %"
    found = bootstrapped(some, by, "value", told.seed, interval, told.minimum)
    groups = frame.select(by).unique(maintain_order=True)
    return groups.join(found, on=list(by), how="left").with_columns(
        pl.col("interval").fill_null(not_computed(0, told.minimum)), pl.col("n").fill_null(0)
    )


def of_facts(pairs: pl.DataFrame, told: Averaged) -> list[pl.DataFrame]:
    """Comparisons of facts: counts, means, differences from the rewrites, values of single facts.

    Args:
        pairs: as `compare` gives them.
        told: fewer facts than the minimum are not averaged.
    """
    counts = pairs.group_by("comparison", maintain_order=True).agg(
        metric=pl.lit("empty_pairs"), value=pl.col("n_empty").sum(), n=pl.col("n_pairs").sum()
    )
    values = long(pairs, "comparison", "fact")
    rewrites = values.filter(comparison="rewrite").select("fact", "metric", rewrite="value")
    controls = values.filter(pl.col("comparison").is_in(CONTROLS))
    both = controls.join(rewrites, on=["fact", "metric"], how="left", maintain_order="left")
    differences = both.with_columns(
        metric="rewrite_minus_" + pl.col("metric"), value=pl.col("rewrite") - pl.col("value")
    )
    by = ["comparison", "metric"]
    means = [averaged(frame, by, told) for frame in (values, differences)]
    return [counts, *means, named(values.drop_nulls(), n=1)]


def over_groups(grown: pl.DataFrame, told: Averaged) -> list[pl.DataFrame]:
    """Means over groups of facts; few groups have a range, many a bootstrap interval.

    Args:
        grown: as `grow` gives it.
        told: fewer groups than the minimum have a range.
    """
    by = ["averaged_facts", "rule", "comparison", "metric"]
    values = long(grown, *by[:3]).with_columns(metric="grown_" + pl.col("metric"))
    values = values.with_columns(n=pl.col("value").count().over(by))
    some, n = values.drop_nulls(), pl.col("n")
    alone = values.filter(n < 2).sort("value", nulls_last=True).unique(by, keep="first")
    reason = pl.when(n == 0).then(pl.lit("empty sets")).otherwise(pl.lit("one group"))
    many, few = some.filter(n >= told.minimum), some.filter(n.is_between(2, told.minimum - 1))
    return [
        bootstrapped(many, by, "value", told.seed, "bootstrap over groups, 95 %"),
        ranged(few, by, "value", "groups"),
        alone.with_columns(interval=reason),
    ]
