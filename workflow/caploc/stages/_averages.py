"""Attribution files to a scores file: shared by the stages for one task and for the mixture."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from caploc.files.scores import write_not_computed, write_scores
from caploc.files.shards import Shard, n_batches, rows
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.measures.means import Halves, MeanScores, assign_halves, default_curve, no_halves
from caploc.records import DataError

__all__ = ["AggregateScores", "average"]

log = logging.getLogger(__name__)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class AggregateScores:
    """Average the samples of one task.

    Attributes:
        n_splits: random splits into halves
        min_samples: fewer have no halves
        seed: of the splits
        model: id
        task: id
        method: id
        n_per_half: samples of each half; null: half of all
        curve: sizes of halves; null: 1, 2, 5, 10, ...
    """

    n_splits: int
    min_samples: int
    seed: int
    model: str | None = None
    task: str | None = None
    method: str | None = None
    n_per_half: int | None = None
    curve: tuple[int, ...] | None = None


def average(
    job: Job,
    told: AggregateScores,
    shards: Sequence[Shard],
    keys: Sequence[str],
    chosen: Sequence[int],
    metadata: dict[str, Any],
) -> None:
    """Average the chosen samples and write the scores file; too few have no halves.

    Args:
        job: output ``scores``.
        told: its settings.
        shards: checked attribution files.
        keys: (sample,) names of all samples over the files, distinct among the chosen.
        chosen: ascending indices of the samples to average.
        metadata: what is stored beside the origin.

    Raises:
        DataError: damaged data, or a curve that does not fit `n_per_half`.
    """
    metadata = {"origin": job.origin()} | metadata
    needed = max(2, told.min_samples)
    if len(chosen) < needed:
        metadata["too_few"] = f"n = {len(chosen)}, needs {needed}"
        log.warning("%s: no halves: %s", told.task or job.stage, metadata["too_few"])
    if not chosen:
        reason = metadata.pop("too_few")
        metadata["n_samples"] = 0
        write_not_computed(job.outputs["scores"], shards[0].n_neurons, reason, metadata)
        return
    halves = _halves(told, [keys[i] for i in chosen], "too_few" not in metadata)
    n_layers = max(s.n_layers for s in shards)
    # One thread reads ahead, the others add: decoding costs about as much as adding.
    means = MeanScores(halves, n_layers, shards[0].n_neurons, max(1, job.threads - 1))
    stream = _ahead(rows(shards)) if job.threads > 1 else rows(shards)
    position = np.full(len(keys), -1)
    position[chosen] = np.arange(len(chosen))
    name = told.task or job.stage
    for scores, samples, layers in tracked(stream, n_batches(shards), f"averaging {name}"):
        wanted = position[samples] >= 0
        if wanted.all():
            means.add(scores, position[samples], layers)
        else:
            means.add(scores[wanted], position[samples[wanted]], layers[wanted])
    write_scores(job.outputs["scores"], means, metadata)
    log.info("averaged %d samples of %d layers", len(chosen), n_layers)


def _halves(told: AggregateScores, keys: list[str], enough: bool) -> Halves:
    if not enough:
        return no_halves(len(keys))
    return assign_halves(keys, told.n_splits, _curve(told, len(keys)), told.seed)


def _curve(told: AggregateScores, n_samples: int) -> tuple[int, ...]:
    """Sample counts per half: those wanted that the samples suffice for."""
    most = n_samples // 2
    wanted = told.n_per_half
    size = most if wanted is None else min(wanted, most)
    if wanted is not None and wanted > most:
        log.warning("halves of %d samples instead of %d: there are %d", most, wanted, n_samples)
    if not told.curve:
        return default_curve(size)
    curve = sorted(set(told.curve))
    if curve[0] < 1:
        raise DataError(f"curve has {curve[0]}; expected sample counts of at least 1")
    return (*(n for n in curve if n < size), size)


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one made while the last one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
