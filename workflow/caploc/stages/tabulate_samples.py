"""How many samples every task kept, and how many were dropped for which reason.

Rows without a model count what preparing the data left out; rows with a model count what did not
suit that model (mostly: does not fit its context), once for all methods.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from caploc.files import store
from caploc.files._old_tables import SAMPLES, rows, write
from caploc.jobs.job import Job

__all__ = ["run"]

Row = dict[str, Any]


def run(job: Job) -> None:
    """List kept and dropped samples.

    Args:
        job: inputs ``samples`` (every split file) and ``shards`` (attribution files); outputs
            ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged file.
    """
    found = [row for path in job.inputs["samples"] for row in _prepared(path)]
    found += _attributed(job.inputs["shards"])
    write(job, rows(found, SAMPLES))


def _prepared(path: Path) -> list[Row]:
    metadata = store.read_metadata(path)
    origin = metadata["origin"]
    suffix = ".shuffled" if origin["stage"] == "shuffle_answers" else ""
    ids = {"model": "", "dataset": origin["spec"]["task"] + suffix, "split": path.stem}
    return _counted(ids, metadata["n"], Counter(metadata["dropped"]))


def _attributed(paths: list[Path]) -> list[Row]:
    """Kept and dropped over the shards of each model and task; `locate` is the split they use."""
    kept: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    lost: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for path in paths:
        metadata = store.read_metadata(path)
        spec = metadata["origin"]["spec"]
        key = spec["model"], spec["task"]
        kept[key][spec.get("method_id", "")] += metadata["n_samples"]
        lost[key] |= {(sample_id, reason) for sample_id, reason in metadata["dropped"]}
    return [
        row
        for (model, task), by_method in kept.items()
        for row in _counted(
            {"model": model, "dataset": task, "split": "locate"},
            min(by_method.values()),
            Counter(reason for _, reason in lost[model, task]),
        )
    ]


def _counted(ids: Row, kept: int, dropped: Counter[str]) -> list[Row]:
    reasons = [
        ids | {"reason": reason, "metric": "dropped", "value": count}
        for reason, count in dropped.items()
    ]
    return [ids | {"metric": "kept", "value": kept}, *reasons]
