"""What silencing did to one task, as rows of the table `erasure`.

Every function takes frames with one number for each set of neurons, random draw and sample. The
columns `SET` tell sets apart; random sets have a kind in ``control`` and a number in ``draw``.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from caploc.measures.effects import dose_area
from caploc.measures.summaries import averaged, beyond, bootstrapped, drawn, grids, shares

__all__ = ["SET", "accuracies", "averages", "likelihood", "sizes", "told"]

SET = ["shots", "mask", "arm", "mode", "share"]
_RANDOM = [*SET, "control"]
_IS_SET = pl.col("control") == ""
_IS_BASE = pl.col("arm") == "base"
_TOLD = ("accuracy", "lenient", "malformed", "parses", "ranked", "bleu")


def likelihood(table: pl.DataFrame, headline: str, seed: int) -> list[pl.DataFrame]:
    """Log-probability, its fall, and every fall beside its controls.

    Args:
        table: ``logprob``, ``n_right``, ``n_tokens``.
        headline: mask whose located neurons are tested against matched random sets.
        seed: of the bootstrap.
    """
    base = table.filter(_IS_BASE).select(
        "shots", "sample_id", tokens="n_tokens", base=pl.col("logprob") / pl.col("n_tokens")
    )
    scored = (
        table.join(base, on=["shots", "sample_id"])
        .sort("sample_id")
        .with_columns(
            logprob=pl.col("logprob") / pl.col("tokens"),
            exact=pl.col("n_right") == pl.col("tokens"),
            token_accuracy=pl.col("n_right") / pl.col("tokens"),
        )
        .with_columns(logprob_fall=pl.col("base") - pl.col("logprob"))
    )
    own, random = scored.filter(_IS_SET), scored.filter(~_IS_SET)
    silenced = own.filter(~_IS_BASE)
    found = [_metric(drawn(random, _RANDOM, name), name) for name in ("logprob_fall", "exact")]
    found += [
        _metric(bootstrapped(own, SET, name, seed), name) for name in ("logprob", "token_accuracy")
    ]
    found.append(_metric(shares(own, SET, "exact"), "exact"))
    found.append(_metric(bootstrapped(silenced, SET, "logprob_fall", seed), "logprob_fall"))
    is_tested = (
        (pl.col("shots") == 0) & (pl.col("mask") == headline) & (pl.col("arm") == "located")
        & (pl.col("mode") == "all") & pl.col("share").is_null() & (pl.col("control") == "matched")
    )  # fmt: skip
    excess = beyond(own, random, SET, ["control"], "logprob_fall", seed).with_columns(
        role=pl.when(is_tested).then(pl.lit("secondary")).otherwise(pl.lit("exploratory"))
    )
    return [*found, _metric(excess, "logprob_excess"), *_doses(scored, seed)]


def _metric(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.with_columns(metric=pl.lit(name))


def _doses(scored: pl.DataFrame, seed: int) -> list[pl.DataFrame]:
    """Area under the curve of every arm that has doses, and its excess over the random sets."""
    by = ["shots", "arm", "control"]
    groups, arrays = grids(
        scored.filter(pl.col("share").is_not_null()), [*by, "share"], "logprob_fall"
    )
    falls = [values.mean(axis=0).tolist() for values in arrays]
    points = groups.with_columns(fall=pl.Series(falls, dtype=pl.List(pl.Float64)))
    own = points.filter(_IS_SET).select("shots", "arm", "share", own="fall")
    curves = (
        points.join(own, on=["shots", "arm", "share"])
        .sort("share")
        .group_by(by, maintain_order=True)
        .agg("share", "fall", "own")
        .filter(pl.col("share").list.len() >= 2)
    )
    areas = {
        name: [dose_area(*curve) for curve in curves.select(name, "share").iter_rows()]
        for name in ("fall", "own")
    }
    gains = [own - fall for own, fall in zip(areas["own"], areas["fall"], strict=True)]
    kinds = pl.List(pl.Float64)
    curves = curves.select(
        *by, mask=pl.lit(""), mode=pl.lit("all"),
        area=pl.Series([a.tolist() for a in areas["fall"]], dtype=kinds),
        gain=pl.Series([g.tolist() for g in gains], dtype=kinds),
    ).explode("area", "gain")  # fmt: skip
    by += ["mask", "mode"]
    return [
        _metric(bootstrapped(curves, by, "area", seed), "dose_area"),
        _metric(bootstrapped(curves.filter(~_IS_SET), by, "gain", seed), "dose_area_excess"),
    ]


def told(table: pl.DataFrame, accuracy: pl.DataFrame, seed: int) -> list[pl.DataFrame]:
    """Generated answers: every score of every arm, and the change from the unchanged model.

    Args:
        table: a column for each score; a set without a score has none for any sample.
        accuracy: `accuracies` of the table.
        seed: of the bootstrap.
    """
    table = table.sort("sample_id")
    found = []
    for name in _TOLD:
        scored = table.filter(pl.col(name).is_not_null().all().over(_RANDOM))
        own = scored.filter(_IS_SET)
        estimated = bootstrapped(own, SET, name, seed) if name == "bleu" else shares(own, SET, name)
        found.append(_metric(estimated, name))
        found.append(_metric(drawn(scored.filter(~_IS_SET), _RANDOM, name), name))
    changed = bootstrapped(accuracy.filter(~_IS_BASE), _RANDOM, "change", seed)
    excess = bootstrapped(accuracy.filter(~_IS_SET), [*_RANDOM, "n_draws"], "excess", seed)
    return [
        *found,
        _metric(changed, "accuracy_change"),
        _metric(excess, "accuracy_excess").with_columns(role=pl.lit("exploratory")),
    ]


def accuracies(table: pl.DataFrame) -> pl.DataFrame:
    """Right answers of each set and sample, mean over its draws, beside what they compare with.

    Returns:
        Columns `SET`, ``control``, ``sample_id``, ``n_draws``, ``accuracy``; ``change`` from the
        unchanged model; ``excess`` of the set over its random ones.
    """
    sampled = table.group_by([*_RANDOM, "sample_id"]).agg(
        pl.col("accuracy").mean(), n_draws=pl.len()
    )
    own = sampled.filter(_IS_SET).select(*SET, "sample_id", own="accuracy")
    base = own.filter(_IS_BASE).select("shots", "sample_id", base="own")
    return (
        sampled.join(own, on=[*SET, "sample_id"], nulls_equal=True)
        .join(base, on=["shots", "sample_id"])
        .with_columns(
            change=pl.col("accuracy") - pl.col("base"), excess=pl.col("own") - pl.col("accuracy")
        )
        .sort("sample_id")
    )


def averages(accuracy: pl.DataFrame, seed: int) -> list[pl.DataFrame]:
    """Accuracy, its change and its excess over random sets: means over the tasks with an arm.

    Args:
        accuracy: `accuracies` of all tasks, with ``model``, ``method`` and ``dataset``.
        seed: of the bootstrap.
    """
    by = ["model", "method", *_RANDOM]
    rows = {
        "accuracy": accuracy,
        "change": accuracy.filter(~_IS_BASE),
        "excess": accuracy.filter(~_IS_SET),
    }
    return [
        averaged(frame, by, "dataset", column, seed, "tasks").with_columns(
            dataset=pl.lit("average"),
            metric=pl.lit("accuracy" if column == "accuracy" else f"accuracy_{column}"),
        )
        for column, frame in rows.items()
    ]


def sizes(table: pl.DataFrame) -> list[pl.DataFrame]:
    """Size of every set, match of its controls, and what it does to neutral text.

    Args:
        table: one row a set: ``n_neurons``, ``size_difference``, ``set_key``, ``neutral_logprob``
            (of each text) and ``neutral_tokens`` (of all).
    """
    own, random = table.filter(_IS_SET), table.filter(~_IS_SET)
    by = [*SET[1:], "control"]
    counted = own.select(
        *by, metric=pl.lit("n_neurons"), value=pl.col("n_neurons").cast(pl.Float64), n=pl.lit(1)
    )
    distinct = random.group_by(by).agg(
        metric=pl.lit("n_distinct"), value=pl.col("set_key").n_unique(), n=pl.len(),
        n_draws=pl.len(),
    )  # fmt: skip
    matched = _ranges(random.drop_nulls("size_difference"), "size_difference", "n_neurons")
    read = table.filter(pl.col("neutral_logprob").is_not_null() & (pl.col("neutral_tokens") > 0))
    read = read.with_columns(
        perplexity=pl.Series(_perplexities(*read.select("neutral_logprob", "neutral_tokens")),
                             dtype=pl.Float64),
        n=pl.col("neutral_logprob").list.len(),
    )  # fmt: skip
    unchanged = read.filter(_IS_SET).select(
        *by, "n", metric=pl.lit("perplexity"), value="perplexity"
    )
    return [counted, distinct, matched, unchanged,
            _ranges(read.filter(~_IS_SET), "perplexity", "n")]  # fmt: skip


def _ranges(random: pl.DataFrame, column: str, n: str) -> pl.DataFrame:
    """Mean and range of a number of each random set; column `n` says what is behind it."""
    by = [*SET[1:], "control", "behind"]
    found = drawn(random.with_columns(behind=n), by, column, item="behind")
    return _metric(found.drop("n").rename({"behind": "n"}), column)


def _perplexities(logprob: pl.Series, tokens: pl.Series) -> Sequence[float]:
    return [float(np.exp(-sum(of) / n)) for of, n in zip(logprob, tokens, strict=True)]
