"""How well the masks of two disjoint halves agree, beside chance and the shuffled reference.

Values are means over the splits, intervals the range over them. "shuffled-mask" compares half a of
the task with half b of the same samples with shuffled answers, which the same seed splits alike, so
the two share no sample (but for a few that were dropped in only one of them); its ``_whole`` rows
compare the masks of all samples. "converged-mask" compares the mask of a few samples with the one
that a converged path rule gives for the same samples; ``score_error`` is the difference of their
mean scores, sum of sizes over neurons, relative to the converged ones.
"""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.agreement.settings import MeasureAgreement
from caploc.experiments.agreement.table import AGREEMENT
from caploc.files import store, tables
from caploc.files.scores import Scores, scores_of_mask
from caploc.files.tables import gathered, write_part
from caploc.jobs.job import Job
from caploc.measures.agreement import MEASURES, relative_error
from caploc.measures.masks import outliers, rule_of
from caploc.measures.summaries import exact, missing, ranged

__all__ = ["run"]

Mask = NDArray[np.bool_]
Rule = dict[str, Any]


def run(job: Job) -> None:
    """Measure one task or reference under one mask rule.

    Args:
        job: input ``scores``, with ``others`` if the mask is against other tasks, optionally
            ``shuffled`` (scores of the same samples with shuffled answers) and ``converged`` (from
            `score_converged`); output ``part``.

    Raises:
        DataError: a damaged scores file.
    """
    told = job.told(MeasureAgreement)
    rule = rule_of(asdict(told.rule))
    read = partial(scores_of_mask, against=told.rule.against, others=job.inputs.get("others", []))
    scores = read(job.input("scores"))
    found = [_named(_halves(scores, rule), told.task, told.arm, "halves")]
    for path in job.inputs.get("shuffled", []):
        other, shuffled = f"{told.task}.shuffled", read(path)
        found.append(_named(_halves(shuffled, rule), other, "shuffled", "halves"))
        pairs = _against_shuffled(scores, shuffled, rule)
        found.append(_named(pairs, told.task, told.arm, "shuffled-mask", other))
    for path in job.inputs.get("converged", []):
        rows = _against_converged(path, told.task, rule, told.rule.against)
        other = f"{told.task}.converged"
        found.append(_named(rows, told.task, told.arm, "converged-mask", other))
    table = gathered(found, AGREEMENT).with_columns(
        model=pl.lit(told.model), method=pl.lit(told.method), mask=pl.lit(told.mask),
        sigma=pl.lit(told.rule.sigma, pl.Float64),
    )  # fmt: skip
    write_part(table, job.outputs["part"], job.origin())


def _named(
    rows: Iterator[pl.DataFrame], dataset: str, arm: str, comparison: str, reference: str = ""
) -> pl.DataFrame:
    return gathered(rows, AGREEMENT).with_columns(
        dataset=pl.lit(dataset), arm=pl.lit(arm), comparison=pl.lit(comparison),
        reference=pl.lit(reference),
    )  # fmt: skip


def _halves(scores: Scores | str, rule: Rule) -> Iterator[pl.DataFrame]:
    if isinstance(scores, str):
        yield missing(scores, metric="overlap")
        return
    whole = {"metric": "located_share_whole"}
    share = float(outliers(scores.whole, **rule).mean())
    if "too_few" in scores.metadata:
        yield missing(scores.metadata["too_few"], metric="overlap")
        yield exact(share, 1, **whole)
        return
    for n in scores.curve:
        pairs = [
            (outliers(scores.halves[split, "a", n], **rule),
             outliers(scores.halves[split, "b", n], **rule))
            for split in range(scores.n_splits)
        ]  # fmt: skip
        counts = [(int(a.sum()) + int(b.sum())) / 2 for a, b in pairs]
        shares = [count / scores.whole.size for count in counts]
        yield _over_splits(pairs, n, located_count=counts, located_share=shares)
    yield exact(share, 1, n_half=scores.curve[-1], **whole)


def _against_shuffled(
    task: Scores | str, shuffled: Scores | str, rule: Rule
) -> Iterator[pl.DataFrame]:
    for scores in (task, shuffled):
        reason = scores if isinstance(scores, str) else scores.metadata.get("too_few")
        if reason:
            yield missing(reason, metric="overlap")
            return
    assert not isinstance(task, str) and not isinstance(shuffled, str)
    n = max(set(task.curve) & set(shuffled.curve))
    yield _over_splits(
        [
            (outliers(task.halves[split, "a", n], **rule),
             outliers(shuffled.halves[split, "b", n], **rule))
            for split in range(min(task.n_splits, shuffled.n_splits))
        ],
        n,
    )  # fmt: skip
    whole = outliers(task.whole, **rule), outliers(shuffled.whole, **rule)
    for name in ("overlap", "iou"):
        value = MEASURES[name](*whole)
        yield exact(value, int(value is not None), metric=f"{name}_whole", n_half=n)


def _against_converged(path: Path, task: str, rule: Rule, against: str) -> Iterator[pl.DataFrame]:
    n = store.read_metadata(path)["n_samples"].get(task, 0)
    if not n or against != "none":
        reason = "no sample" if not n else "not made for masks against other tasks"
        yield missing(reason, metric="overlap")
        return
    table = tables.read(path).filter(task=task)
    names = ("method", "converged")
    grids = [
        np.array(table.filter(rule=name)["mean"].to_list(), dtype=np.float64) for name in names
    ]
    masks = [outliers(grid, **rule) for grid in grids]
    for metric in ("overlap", "iou"):
        value = MEASURES[metric](*masks)
        yield exact(value, 0 if value is None else n, metric=metric)
    for name, mask in zip(names, masks, strict=True):
        yield exact(float(mask.sum()), n, metric=f"located_count_{name}")
    yield exact(relative_error(*grids), n, metric="score_error")


def _over_splits(pairs: list[tuple[Mask, Mask]], n_half: int, **more: list[float]) -> pl.DataFrame:
    """Mean and range over splits; no value, and n = 0, where no split has one."""
    values = {name: [measure(a, b) for a, b in pairs] for name, measure in MEASURES.items()}
    splits = pl.DataFrame(values | more, dict.fromkeys((*values, *more), pl.Float64), strict=False)
    found = ranged(splits.unpivot(variable_name="metric"), ["metric"], "value", "splits")
    return found.with_columns(
        n_half=pl.lit(n_half),
        n=pl.when(pl.col("value").is_null()).then(0).otherwise("n"),
        interval=pl.lit(f"range over {len(pairs)} splits"),
    )
