"""The table `erasure`: what is left of every task, beside the random controls."""

from typing import Any

import numpy as np

from caploc.experiments.erasure._rows import (
    BASE,
    by_arm,
    columns,
    likelihood_rows,
    set_rows,
    told_rows,
)
from caploc.files import store
from caploc.files._old_tables import ERASURE, rows, write
from caploc.jobs.job import Job
from caploc.measures.effects import estimate_row, stratified
from caploc.measures.statistics import holm

__all__ = ["run"]


def run(job: Job) -> None:
    """Intervals, tests and averages over the tasks.

    Args:
        job: spec headline, seed, sigmas (mask id -> sigma), minimum_samples; inputs
            ``likelihood``, ``answers`` and ``sets``, one of each for every model, task and method,
            in the same order; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged file, or one without a column.
    """
    spec = job.spec
    found: list[dict[str, Any]] = []
    told: dict[tuple[str, str], dict[str, Any]] = {}
    files = (job.inputs[name] for name in ("likelihood", "answers", "sets"))
    for likelihood, answers, sets in zip(*files, strict=True):
        metadata = store.read_metadata(likelihood)
        asked = metadata["origin"]["spec"]
        ids = {"model": asked["model"], "dataset": asked["task"], "method": asked["method"]}
        scored, generated = store.read_table(likelihood), store.read_table(answers)
        n = len(set(scored["sample_id"].to_pylist()))
        reasons = dict(metadata["not_computed"])
        if n < spec["minimum_samples"]:
            shown = f"n = {n}, needs {spec['minimum_samples']}"
            reasons = {mask: reasons.get(mask, shown) for mask in spec["sigmas"]}
        for mask, reason in reasons.items():
            note = {"interval": f"not computed: {reason}", "n": 0, "metric": "logprob_fall"}
            found.append(ids | columns((mask, "located", "all", None)) | note)
        for one in metadata["without_control"]:
            key = (one["mask"], one["arm"], one["mode"], one["share"])
            note = {"interval": f"not computed: {one['reason']}", "n": 0}
            found.append(ids | columns(key, one["control"]) | {"metric": "logprob_excess"} | note)
        if n < spec["minimum_samples"]:
            continue
        parts = [likelihood_rows(scored, spec["headline"], spec["seed"])]
        parts += [told_rows(generated, spec["seed"]), set_rows(store.read_table(sets))]
        found += [ids | row for part in parts for row in part]
        if generated.num_rows:
            told.setdefault((ids["model"], ids["method"]), {})[ids["dataset"]] = by_arm(
                generated, "accuracy"
            )
    found += _averages(told, spec["seed"])
    primary = [row for row in found if row.get("role") == "primary"]
    for row, p in zip(primary, holm([row["p"] for row in primary]), strict=True):
        row["p_holm"] = p
    for row in found:
        row["sigma"] = spec["sigmas"].get(row["mask"])
    write(job, rows(found, ERASURE))


def _averages(told: dict[tuple[str, str], dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Accuracy, its change and its excess over random sets: means over the tasks with an arm."""
    found = []
    for (model, method), tasks in told.items():
        keys = dict.fromkeys(key for arms in tasks.values() for key in arms)
        for shots, key, control in keys:
            # (sample,) of each task, its draws averaged.
            groups = [
                {
                    k: np.mean(arms[shots, *k], axis=0)
                    for k in ((BASE, ""), (key, ""), (key, control))
                }
                for arms in tasks.values()
                if (shots, key, control) in arms
            ]
            own, base = (key, control), (BASE, "")
            metrics = {"accuracy": [g[own] for g in groups]}
            if key != BASE:
                metrics["accuracy_change"] = [g[own] - g[base] for g in groups]
            if control:
                metrics["accuracy_excess"] = [g[key, ""] - g[own] for g in groups]
            row = {"model": model, "dataset": "average", "method": method, "shots": shots}
            row |= columns(key, control)
            for metric, values in metrics.items():
                found.append(
                    row
                    | estimate_row(metric, stratified(values, seed))
                    | {"interval": f"bootstrap 95 %, mean of {len(groups)} tasks"}
                )
    return found
