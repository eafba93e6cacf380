"""The table `cross_erasure`: neurons of one data set silenced, another one answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.experiments.erasure._crossing import contrast, contrast_of, label_test
from caploc.files import store
from caploc.files._old_tables import CROSS_ERASURE, rows, write
from caploc.jobs.job import Job
from caploc.measures.effects import estimate_row, excess, shown_range
from caploc.measures.statistics import bootstrap_mean
from caploc.samples.capabilities import capabilities

__all__ = ["run"]

_Grids = dict[tuple[str, str], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class _Target:
    """What silencing did to one data set.

    Attributes:
        base: (sample,) log-probability per token, and share of right answers, by effect.
        falls: effect -> (kind, source) -> (sample,) fall.
        draws: effect -> (kind, source) -> (draw, sample) falls of the matched random sets.
        chance: accuracy of always giving the commonest answer.
    """

    base: dict[str, NDArray[np.float64]]
    falls: dict[str, _Grids]
    draws: dict[str, _Grids]
    chance: float


def run(job: Job) -> None:
    """Cells with intervals, and the contrast of same against other capability.

    Args:
        job: spec tasks (id, plug-in and capability), sigma, mask, seed, minimum_samples; input
            ``likelihood``, one for every model, method and task; outputs ``csv`` and ``parquet``.

    Raises:
        DataError: a damaged file, or one without a column.
    """
    spec = job.spec
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in job.inputs["likelihood"]:
        asked = store.read_metadata(path)["origin"]["spec"]
        groups.setdefault((asked["model"], asked["method"]), []).append(path)
    types = capabilities(spec["tasks"])
    found = [
        {"model": model, "method": method, "mask": spec["mask"], "sigma": spec["sigma"]} | row
        for (model, method), paths in groups.items()
        for row in _rows(paths, types, spec)
    ]
    write(job, rows(found, CROSS_ERASURE))


def _rows(
    paths: list[Path], types: dict[str, str], spec: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    targets: dict[str, _Target] = {}
    metadata: dict[str, Any] = {}
    for path in paths:
        metadata = store.read_metadata(path)
        table = store.read_table(path)
        task = metadata["origin"]["spec"]["task"]
        n = len(set(table["sample_id"].to_pylist()))
        if n < spec["minimum_samples"]:
            note = f"not computed: n = {n}, needs {spec['minimum_samples']}"
            yield {"target": task, "metric": "logprob_excess", "interval": note, "n": 0}
            continue
        targets[task] = _target(table, metadata["chance"])
    # The sets are those of every target.
    yield {"metric": "n_common", "value": float(metadata["n_common"]), "n": 1}
    for source, reason in metadata["not_computed"].items():
        note = f"not computed: {reason}"
        yield {"source": source, "metric": "logprob_excess", "interval": note, "n": 0}
    for kind, sizes in metadata["sizes"].items():
        for source, n in sizes.items():
            size = {"metric": "n_neurons", "value": float(n), "n": 1}
            yield {"sets": kind, "source": source} | size
        for effect in ("logprob", "relative"):
            for (source, task), row in _cells(targets, kind, effect, spec["seed"]):
                yield {"sets": kind, "source": source, "target": task} | row
            for row in _contrasts(targets, types, kind, effect, spec["seed"]):
                yield {"sets": kind} | row
    for task, target in targets.items():
        for name, values in target.base.items():
            mean = bootstrap_mean(values, seed=spec["seed"])
            yield {"target": task} | estimate_row(f"{name}_base", mean)
        n = len(target.base["exact"])
        yield {"target": task, "metric": "chance", "value": target.chance, "n": n}


def _target(table: pa.Table, chance: float) -> _Target:
    names = ("arm", "source", "control", "draw", "sample_id", "logprob", "n_right", "n_tokens")
    groups: dict[tuple[str, str, str, int], dict[str, tuple[float, float]]] = {}
    for arm, source, control, draw, sample, logprob, n_right, n_tokens in zip(
        *(table[name].to_pylist() for name in names), strict=True
    ):
        scores = (logprob / n_tokens, float(n_right == n_tokens))
        groups.setdefault((arm, source, control, draw), {})[sample] = scores
    # Paired: every set in the same order of samples. (sample, 2)
    arrays = {key: np.array([of[s] for s in sorted(of)]) for key, of in groups.items()}
    base = arrays.pop(("base", "", "", 0))
    above = base[:, 1].mean() - chance
    scale = {"logprob": 1.0, "relative": 1 / above if above > 0 else None}
    falls: dict[str, _Grids] = {effect: {} for effect in scale}
    draws: dict[str, _Grids] = {effect: {} for effect in scale}
    for k, (effect, factor) in enumerate(scale.items()):
        if factor is None:  # nothing to lose: no cell
            continue
        random: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        for (kind, source, control, _), values in sorted(arrays.items()):
            fall = (base - values)[:, k] * factor
            if control:
                random.setdefault((kind, source), []).append(fall)
            else:
                falls[effect][kind, source] = fall
        draws[effect] = {key: np.array(found) for key, found in random.items()}
    return _Target({"logprob": base[:, 0], "exact": base[:, 1]}, falls, draws, chance)


def _cells(
    targets: dict[str, _Target], kind: str, effect: str, seed: int
) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Fall of the set, fall of its random sets, and the difference, of every pair."""
    for task, target in targets.items():
        for (own, source), fall in target.falls[effect].items():
            if own != kind:
                continue
            random = target.draws[effect][kind, source]
            beyond = excess(fall, random, seed)
            key, n = (source, task), len(fall)
            yield key, estimate_row(f"{effect}_fall", bootstrap_mean(fall, seed=seed))
            yield key, shown_range(f"{effect}_fall_random", random.mean(axis=1), n)
            yield (
                key,
                estimate_row(f"{effect}_excess", beyond.estimate)
                | {"p": beyond.p, "n_draws": beyond.n_draws, "role": "exploratory"},
            )


def _contrasts(
    targets: dict[str, _Target], types: dict[str, str], kind: str, effect: str, seed: int
) -> Iterator[dict[str, Any]]:
    """Same against other capability: with its interval, its null, and dealt-out labels."""
    tasks = list(types)
    labels = list(types.values())
    falls, draws = {}, {}
    for t, task in enumerate(tasks):
        for s, source in enumerate(tasks):
            if task in targets and (kind, source) in targets[task].falls[effect]:
                falls[s, t] = targets[task].falls[effect][kind, source]
                draws[s, t] = targets[task].draws[effect][kind, source]
    name = f"{effect}_contrast"
    found = contrast(falls, draws, labels, seed) if falls else None
    if found is None:
        note = "not computed: no two data sets of one capability beside another one"
        yield {"metric": name, "interval": note, "n": 0}
        return
    yield estimate_row(name, found.estimate) | {
        "p": found.p, "n_draws": found.n_draws, "role": "exploratory",
    }  # fmt: skip
    matrix = np.full((len(tasks), len(tasks)), np.nan)
    for key, fall in falls.items():
        matrix[key] = fall.mean() - draws[key].mean()
    dealt = label_test(matrix, labels)
    if dealt is not None:
        p, ways = dealt
        yield {
            "metric": f"{name}_labels", "value": contrast_of(matrix, labels), "p": p,
            "n": len(tasks), "n_draws": ways, "interval": f"all {ways} ways to deal the labels out",
            "role": "exploratory",
        }  # fmt: skip
