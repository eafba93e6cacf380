"""How well the masks of two disjoint halves agree, beside chance and the shuffled reference.

Values are means over the splits, intervals the range over them. "shuffled-mask" compares half a of
the task with half b of the same samples with shuffled answers, which the same seed splits alike, so
the two share no sample (but for a few that were dropped in only one of them); its ``_whole`` rows
compare the masks of all samples. "converged-mask" compares the mask of a few samples with the one
that a converged path rule gives for the same samples; ``score_error`` is the difference of their
mean scores, sum of sizes over neurons, relative to the converged ones.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from caploc.files import store
from caploc.files._old_tables import AGREEMENT, rows
from caploc.files.scores import Scores, read_scores
from caploc.jobs.job import Job
from caploc.measures import agreement
from caploc.measures.masks import outliers, rule_of
from caploc.measures.statistics import spread

__all__ = ["run"]

Mask = NDArray[np.bool_]
Row = dict[str, Any]
_PAIRED = {
    "overlap": agreement.overlap,
    "iou": agreement.iou,
    "chance_overlap_uniform": agreement.chance_overlap_uniform,
    "chance_overlap_layer": agreement.chance_overlap_layer,
}


def run(job: Job) -> None:
    """Measure one task or reference under one mask rule.

    Args:
        job: input ``scores``, optionally ``shuffled`` (scores of the same samples with shuffled
            answers) and ``converged`` (from `score_converged`); spec model, task, method, mask,
            arm and rule; output ``part``.

    Raises:
        DataError: a damaged scores file.
    """
    spec, rule = job.spec, rule_of(job.spec["rule"])
    ids = {key: spec[key] for key in ("model", "method", "mask")} | {"sigma": rule["sigma"]}
    task, other = spec["task"], f"{spec['task']}.shuffled"
    found: list[Row] = []
    means = {}
    arms = [(task, spec["arm"], job.inputs["scores"])]
    arms += [(other, "shuffled", job.inputs.get("shuffled", []))]
    for dataset, arm, paths in arms:
        for path in paths:
            base = ids | {"dataset": dataset, "arm": arm, "comparison": "halves"}
            means[dataset] = _read(path)
            found += _with(base, _halves(means[dataset], rule))
    if other in means:
        base = ids | {"dataset": task, "reference": other, "arm": spec["arm"]}
        pairs = _against_shuffled(means[task], means[other], rule)
        found += _with(base | {"comparison": "shuffled-mask"}, pairs)
    for path in job.inputs.get("converged", []):
        reference = f"{task}.converged"
        base = ids | {"dataset": task, "reference": reference, "arm": spec["arm"]}
        found += _with(
            base | {"comparison": "converged-mask"}, _against_converged(path, task, rule)
        )
    store.write_table(rows(found, AGREEMENT), job.outputs["part"], {"origin": job.origin()})


def _read(path: Path) -> Scores | str:
    """Scores, or why there are none."""
    reason = store.read_metadata(path).get("not_computed")
    return read_scores(path) if reason is None else str(reason)


def _with(base: Row, found: Iterator[Row]) -> list[Row]:
    return [base | row for row in found]


def _halves(scores: Scores | str, rule: dict[str, Any]) -> Iterator[Row]:
    if isinstance(scores, str):
        yield _not_computed(scores)
        return
    share = float(outliers(scores.whole, **rule).mean())
    whole = {"metric": "located_share_whole", "value": share, "n": 1}
    if "too_few" in scores.metadata:
        yield _not_computed(scores.metadata["too_few"])
        yield whole
        return
    for n in scores.curve:
        pairs = [
            tuple(outliers(scores.halves[split, half, n], **rule) for half in ("a", "b"))
            for split in range(scores.n_splits)
        ]
        yield from _paired(pairs, n)
        counts = [(int(a.sum()) + int(b.sum())) / 2 for a, b in pairs]
        yield _row("located_count", n, counts)
        yield _row("located_share", n, [count / scores.whole.size for count in counts])
    yield whole | {"n_half": scores.curve[-1]}


def _against_shuffled(
    task: Scores | str, shuffled: Scores | str, rule: dict[str, Any]
) -> Iterator[Row]:
    for scores in (task, shuffled):
        reason = scores if isinstance(scores, str) else scores.metadata.get("too_few")
        if reason:
            yield _not_computed(reason)
            return
    assert not isinstance(task, str) and not isinstance(shuffled, str)
    n = max(set(task.curve) & set(shuffled.curve))
    splits = range(min(task.n_splits, shuffled.n_splits))
    yield from _paired(
        [
            (
                outliers(task.halves[split, "a", n], **rule),
                outliers(shuffled.halves[split, "b", n], **rule),
            )
            for split in splits
        ],
        n,
    )
    whole = outliers(task.whole, **rule), outliers(shuffled.whole, **rule)
    for name in ("overlap", "iou"):
        value = _PAIRED[name](*whole)
        yield {"metric": f"{name}_whole", "n_half": n, "value": value, "n": int(value is not None)}


def _against_converged(path: Path, task: str, rule: dict[str, Any]) -> Iterator[Row]:
    table = store.read_table(path, ["task", "rule", "layer", "mean"])
    metadata = store.read_metadata(path)
    n = metadata["n_samples"].get(task, 0)
    grids = {}
    for name in ("method", "converged"):
        part = table.filter((pc.field("task") == task) & (pc.field("rule") == name))
        grids[name] = np.array(part["mean"].to_pylist(), dtype=np.float64)
    if not n:
        yield _not_computed("no sample")
        return
    masks = [outliers(grids[name], **rule) for name in ("method", "converged")]
    for name in ("overlap", "iou"):
        value = _PAIRED[name](*masks)
        yield {"metric": name, "value": value, "n": 0 if value is None else n}
    for name, mask in zip(("method", "converged"), masks, strict=True):
        yield {"metric": f"located_count_{name}", "value": float(mask.sum()), "n": n}
    error = np.abs(grids["method"] - grids["converged"]).sum() / np.abs(grids["converged"]).sum()
    yield {"metric": "score_error", "value": float(error), "n": n}


def _paired(pairs: list[tuple[Mask, ...]], n_half: int) -> Iterator[Row]:
    for name, measure in _PAIRED.items():
        yield _row(name, n_half, [measure(a, b) for a, b in pairs])


def _row(metric: str, n_half: int, values: list[Any]) -> Row:
    """Mean and range over splits; no value, and n = 0, where no split has one."""
    row = {"metric": metric, "n_half": n_half, "interval": f"range over {len(values)} splits"}
    found = spread(values)
    if found is None:
        return row | {"n": 0}
    ends = {"ci_low": found.low, "ci_high": found.high}
    return row | {"value": found.value, "n": found.n} | ends


def _not_computed(reason: str) -> Row:
    return {"metric": "overlap", "interval": f"not computed: {reason}", "n": 0}
