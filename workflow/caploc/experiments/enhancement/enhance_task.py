"""Train the arms of the enhancement experiment on one task, and test every one of them.

Settings: `EnhanceTask`.
Inputs: ``manifest``, ``train``, ``validation``, ``masks``, ``tests`` (one for each target) and, for
sets beyond ``own``, ``crossing``: the cross mask of every source.
Outputs: ``answers`` (a row for each arm, epoch, target and sample) and ``delta-<mask>`` (trained
slices of the located arm; a file without tensors where there are none). Finished trainings and
answers are kept as partial work until the job is done, so that a killed job goes on where it was.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from caploc import plugins
from caploc.experiments.enhancement._arms import CHOICE, DRAWN, TRAINED, Arm
from caploc.experiments.enhancement._bench import ANSWERS, Bench, log_probabilities
from caploc.experiments.enhancement._masks import crossed_masks, own_masks
from caploc.experiments.enhancement.settings import EnhanceTask
from caploc.files import store, tables
from caploc.forward.processor import use_processor
from caploc.forward.samples import Encoded, encoded, model_of, samples_of
from caploc.interventions.delta import write_delta, write_tensors
from caploc.interventions.slices import Slices
from caploc.jobs.digests import weights_digest
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_CROSSED = ("located", "layer")
"""Arms that are tested on other tasks."""
_DIVERGED = -1e301
"""Log-probability of a training that did not come to its end: below any other, even in a sum."""


def run(job: Job) -> None:
    """Train, choose rates, test, and write the answers last."""
    use_processor(job.threads)
    told = job.told(EnhanceTask)
    lm = model_of(job.input("manifest"), job.spec)
    tests = [encoded(lm, samples_of(lm, path, told.test_samples)) for path in job.inputs["tests"]]
    train = encoded(lm, samples_of(lm, job.input("train"), told.train_samples))
    masks, missing = own_masks(told.masks, job.inputs["masks"])
    crossed, missing_sets = crossed_masks(told, job.inputs.get("crossing", []))
    facts: dict[str, Any] = {
        "origin": job.origin(), "n_train": len(train.samples), "trainings": [],
        "missing": missing | missing_sets,
        "dropped": [pair for texts in (train, *tests) for pair in texts.dropped],
    }  # fmt: skip
    reason = _too_few(told, train, tests[0])
    if reason:
        _LOG.warning("%s: not computed: %s", told.task, reason)
        for mask in told.masks:
            write_tensors(job.outputs[f"delta-{mask}"], {}, {"not_computed": reason})
        nothing = pl.DataFrame(schema=dict(ANSWERS))
        tables.write_part(nothing, job.outputs["answers"], **facts, not_computed=reason)
        return
    plugin = [plugins.load("tasks", target["plugin"]).TASK for target in told.targets]
    with partial_work(job) as work:
        bench = Bench(lm, masks | crossed, train, tests, plugin, told, work)
        found = _all_answers(bench, crossed, facts, job)
        tables.write_part(pl.concat(found), job.outputs["answers"], **facts)


def _all_answers(
    bench: Bench, crossed: Collection[str], facts: dict[str, Any], job: Job
) -> list[pl.DataFrame]:
    """Train and test every arm, and write the trained slices; answers as in `ANSWERS`."""
    told = bench.told
    found = [bench.answers(Arm("none"), 0, len(bench.tests) if told.cross_mask else 1)]
    if "scaled" in told.arms:
        found += [bench.answers(Arm("scaled", m)) for m in bench.masks if m not in crossed]
    pairs = _pairs(bench, facts["missing"])
    own = [(kind, mask) for kind, mask in pairs if mask not in crossed]
    several = len(told.rates) > 1
    validation = (
        encoded(bench.lm, samples_of(bench.lm, job.input("validation"))) if several else None
    )
    shared, best = _rates(bench, own, validation, facts)
    for kind, mask in pairs:
        # Sets that are only crossed train at the rate chosen for all.
        wanted = {"shared": shared, "best": best.get((kind, mask), shared)}
        for run in range(told.draws if kind in DRAWN else told.seeds):
            for rate in dict.fromkeys(wanted.values()):
                choices = [name for name, r in wanted.items() if r == rate]
                found += _tested(bench, Arm(kind, mask, run, rate), choices, facts)
    _save_deltas(bench, best, job, facts)
    return found


def _too_few(told: EnhanceTask, train: Encoded, test: Encoded) -> str:
    for texts, split in ((train, "train"), (test, "test")):
        if len(texts.samples) < told.minimum:
            return f"n = {len(texts.samples)} in {split}, needs {told.minimum}"
    if len(train.samples) < told.batch:
        return f"n = {len(train.samples)} in train, a batch needs {told.batch}"
    return ""


def _pairs(bench: Bench, missing: dict[str, str]) -> list[tuple[str, str]]:
    """(arm, mask) of everything that trains and can; why others cannot goes to `missing`.

    Sets beyond the masks of the run come last; they train what is crossed alone.
    """
    told = bench.told
    kinds: list[str] = [kind for kind in TRAINED if kind in told.arms]
    own = [mask for mask in bench.masks if mask in told.masks]
    found = [(kind, mask) for mask in own for kind in kinds if kind != "full"]
    found += [("full", "")] if "full" in kinds else []
    others = sorted(bench.masks.keys() - set(own))
    found += [(kind, mask) for mask in others for kind in sorted(_CROSSED) if kind in kinds]
    possible = []
    for kind, mask in found:
        try:
            bench.describe(Arm(kind, mask))
            possible.append((kind, mask))
        except ValueError as reason:  # too few neurons outside a large mask
            missing[f"{mask}/{kind}"] = f"not computed: {reason}"
    return possible


def _rates(
    bench: Bench, pairs: list[tuple[str, str]], validation: Encoded | None, facts: dict[str, Any]
) -> tuple[float, dict[tuple[str, str], float]]:
    """The rate that is best for all arms together, and that of each; one rate needs no choice."""
    rates = bench.told.rates
    if validation is None:
        return rates[0], dict.fromkeys(pairs, rates[0])
    scores = {pair: [_validated(bench, *pair, rate, validation) for rate in rates]
              for pair in pairs}  # fmt: skip
    facts["validation"] = [
        {"mask": mask, "arm": kind, "rate": rate, "log_probability": None if s == _DIVERGED else s}
        for (kind, mask), values in scores.items()
        for rate, s in zip(rates, values, strict=True)
    ]
    shared = int(np.argmax(np.sum(list(scores.values()), axis=0)))
    return rates[shared], {pair: rates[int(np.argmax(s))] for pair, s in scores.items()}


def _validated(bench: Bench, kind: str, mask: str, rate: float, validation: Encoded) -> float:
    """Mean log-probability after the last epoch."""
    arm = Arm(kind, mask, CHOICE if kind in DRAWN else 0, rate)
    last = bench.told.epochs[-1]
    if last not in bench.train(arm).epochs:
        return _DIVERGED
    with bench.at_epoch(arm, last):
        return float(np.mean(log_probabilities(bench.lm, validation)))


def _tested(
    bench: Bench, arm: Arm, choices: list[str], facts: dict[str, Any]
) -> Iterator[pl.DataFrame]:
    told, last = bench.told, bench.told.epochs[-1]
    result = bench.train(arm)
    facts["trainings"].append(
        {
            "mask": arm.mask, "arm": arm.kind, "run": arm.run, "rate": arm.rate,
            "choices": choices, "losses": list(result.losses), "diverged": result.diverged,
            **bench.describe(arm),
        }
    )  # fmt: skip
    only_crossed = arm.mask not in ("", *told.masks)
    crossed = (
        "shared" in choices
        and arm.kind in _CROSSED
        and (only_crossed or arm.mask == told.cross_mask)
    )
    for epoch in result.epochs:
        if epoch == last or not only_crossed:
            yield bench.answers(arm, epoch, len(bench.tests) if crossed and epoch == last else 1)


def _save_deltas(
    bench: Bench, best: Mapping[tuple[str, str], float], job: Job, facts: dict[str, Any]
) -> None:
    """Keep the located slices of every mask: first run, best rate, last epoch."""
    manifest = store.read_json(job.input("manifest"))
    identity = {key: manifest.get(key) for key in ("repo", "revision", "architecture")}
    identity["weights"] = weights_digest(manifest["files"])
    last = bench.told.epochs[-1]
    for mask in bench.told.masks:
        path, arm = (
            job.outputs[f"delta-{mask}"],
            Arm("located", mask, 0, best.get(("located", mask))),
        )
        if arm.rate is None:
            reason = facts["missing"].get(mask, "the arm `located` was not run")
            write_tensors(path, {}, {"not_computed": reason})
            continue
        result = bench.train(arm)
        if last not in result.epochs:
            write_tensors(path, {}, {"not_computed": f"training diverged: {result.diverged}"})
            continue
        about = {"task": bench.told.task, "mask": mask, "rate": arm.rate, "epoch": last,
                 "sources": facts["origin"]["inputs"]}  # fmt: skip
        with bench.at_epoch(arm, last) as trained:
            assert isinstance(trained, Slices)
            write_delta(path, trained, bench.masks[mask], bench.told.part, identity, about)
