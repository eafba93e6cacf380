"""Train the arms of the enhancement experiment on one task, and test every one of them.

Settings: `EnhanceTask`.
Inputs: ``manifest``, ``train``, ``validation``, ``masks``, ``tests`` (one for each target) and, for
sets beyond ``own``, ``crossing``: the cross mask of every source.
Outputs: ``answers`` (a row for each arm, epoch, target and sample) and ``delta-<mask>`` (trained
slices of the located arm; a file without tensors where there are none). Finished trainings and
answers are kept in a folder ``<answers>.work`` until the job is done, so that a killed job goes on
where it was.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc import plugins
from caploc.experiments.enhancement._answers import judge
from caploc.experiments.enhancement._arms import CHOICE, DRAWN, TRAINED, Arm
from caploc.experiments.enhancement._runs import (
    ANSWERS,
    Bench,
    Variant,
    answer_rows,
    runs_of,
)
from caploc.experiments.enhancement.settings import EnhanceTask
from caploc.files import store
from caploc.files.masks import read_located, read_usable
from caploc.forward.processor import use_processor
from caploc.forward.samples import Encoded, encoded, model_of, samples_of
from caploc.interventions.delta import write_delta, write_tensors
from caploc.interventions.scale import scaled
from caploc.interventions.slices import Slices
from caploc.jobs.digests import canonical_json, weights_digest
from caploc.jobs.job import Job
from caploc.measures.crossed_sets import crossed_name, crossed_sets
from caploc.models.language_model import LanguageModel

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_FACTOR = 2.0
_NONE = Arm("none", "", 0)
_CROSSED = ("located", "layer")
"""Arms that are tested on other tasks."""


def run(job: Job) -> None:
    """Train, choose rates, test, and write the answers last."""
    use_processor(job.threads)
    told = job.told(EnhanceTask)
    manifest = store.read_json(job.input("manifest"))
    lm = model_of(job.input("manifest"), job.spec)
    most = told.test_samples
    tests = [encoded(lm, samples_of(path, most)) for path in job.inputs["tests"]]
    train = encoded(lm, samples_of(job.input("train"), told.train_samples))
    masks, missing = _masks(told.masks, job.inputs["masks"])
    crossed, missing_sets = _crossed(job, told)
    facts: dict[str, Any] = {
        "origin": job.origin(), "n_train": len(train.samples), "trainings": [],
        "missing": missing | missing_sets,
        "dropped": [pair for texts in (train, *tests) for pair in texts.dropped],
    }  # fmt: skip
    reason = _too_few(told, train, tests[0])
    if reason:
        _LOG.warning("%s: not computed: %s", told.task, reason)
        facts["not_computed"] = reason
        for mask in told.masks:
            write_tensors(job.outputs[f"delta-{mask}"], {}, {"not_computed": reason})
        store.write_table(ANSWERS.empty_table(), job.outputs["answers"], facts)
        return
    key = hashlib.sha256(canonical_json(job.origin()).encode()).hexdigest()[:16]
    work = job.outputs["answers"].with_suffix(".work")
    bench = Bench(lm, masks | crossed, train, told, work / key)
    experiment = _Experiment(bench, tests, facts)
    parts = [*experiment.untrained(), *experiment.trained(_validation(job, told, lm))]
    experiment.save_deltas(job.outputs, manifest)
    store.write_table(pa.concat_tables(parts), job.outputs["answers"], facts)
    shutil.rmtree(work, ignore_errors=True)


def _validation(job: Job, told: EnhanceTask, lm: LanguageModel) -> Encoded | None:
    """Samples to choose a rate with; one rate needs no choice."""
    if len(told.rates) == 1:
        return None
    return encoded(lm, samples_of(job.input("validation")))


def _masks(
    names: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str]]:
    """Masks that can be used, and why the others cannot."""
    masks, reasons = read_usable(names, paths)
    missing = {name: f"not computed: {reason}" for name, reason in reasons.items()}
    missing |= {name: "empty mask" for name, mask in masks.items() if not mask.any()}
    return {name: mask for name, mask in masks.items() if name not in missing}, missing


def _crossed(job: Job, told: EnhanceTask) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str]]:
    """Sets of the task beyond its own mask, by the name in the answers, and why others are not."""
    kinds = [kind for kind in told.sets if kind != "own"]
    if not kinds or told.cross_mask is None:
        return {}, {}
    located, reasons = read_located(told.sources, job.inputs["crossing"])
    sets = crossed_sets(located) if located else {}
    found, missing = {}, {}
    for kind in kinds:
        name = crossed_name(told.cross_mask, kind)
        if told.task in reasons:
            missing[name] = f"not computed: {reasons[told.task]}"
        elif kind not in sets:
            missing[name] = "not computed: no neuron is common to all data sets"
        elif not sets[kind][told.task].any():
            missing[name] = "empty mask"
        else:
            found[name] = sets[kind][told.task]
    return found, missing


def _too_few(told: EnhanceTask, train: Encoded, test: Encoded) -> str:
    for texts, split in ((train, "train"), (test, "test")):
        if len(texts.samples) < told.minimum:
            return f"n = {len(texts.samples)} in {split}, needs {told.minimum}"
    if len(train.samples) < told.batch:
        return f"n = {len(train.samples)} in train, a batch needs {told.batch}"
    return ""


class _Experiment:
    """All arms of one task, one after the other."""

    def __init__(self, bench: Bench, tests: list[Encoded], facts: dict[str, Any]) -> None:
        self._bench, self._tests, self._facts, self._told = bench, tests, facts, bench.told
        self._targets = bench.told.targets
        self._tasks = [plugins.load("tasks", t["plugin"]).TASK for t in self._targets]
        self._best: dict[tuple[str, str], float] = {}

    def untrained(self) -> Iterator[pa.Table]:
        """The model as it is, on every target; and with the located activations doubled."""
        everywhere = range(len(self._tests) if self._told.cross_mask else 1)
        yield self._bench.kept(
            "none", lambda: pa.concat_tables(self._judged(_NONE, None, 0, i) for i in everywhere)
        )
        if "scaled" in self._told.arms:
            for name, mask in self._own().items():
                with scaled(self._bench.lm, mask, _FACTOR):
                    arm = Arm("scaled", name, 0)
                    yield self._bench.kept(f"{name}-scaled", lambda a=arm: self._judged(a, None, 0))

    def trained(self, validation: Encoded | None) -> Iterator[pa.Table]:
        """Choose the rates, then train and test every run of every arm."""
        shared = self._choose(validation)
        crossed = [kind for kind in _CROSSED if kind in self._told.arms]
        others = self._possible(
            (mask, kind)
            for mask in self._bench.masks.keys() - self._own().keys()
            for kind in crossed
        )
        # Sets that are only crossed train at the rate chosen for all.
        self._best |= dict.fromkeys(others, shared)
        for mask, kind in [*self._kinds(), *sorted(others)]:
            rates = dict.fromkeys((shared, self._best[mask, kind]))
            for run in runs_of(kind, self._told):
                for rate in rates:
                    variant = Variant(Arm(kind, mask, run), rate)
                    choices = [n for n, r in (("shared", shared), ("best", self._best[mask, kind]))
                               if r == rate]  # fmt: skip
                    yield from self._tested(variant, choices)

    def save_deltas(self, outputs: Mapping[str, Path], manifest: dict[str, Any]) -> None:
        """Keep the located slices of every mask: first run, best rate, last epoch."""
        identity = {key: manifest.get(key) for key in ("repo", "revision", "architecture")}
        identity["weights"] = weights_digest(manifest["files"])
        for mask in self._told.masks:
            path, last = outputs[f"delta-{mask}"], self._told.epochs[-1]
            rate = self._best.get((mask, "located"))
            if rate is None:
                reason = self._facts["missing"].get(mask, "the arm `located` was not run")
                write_tensors(path, {}, {"not_computed": reason})
                continue
            variant = Variant(Arm("located", mask, 0), rate)
            result = self._bench.train(variant)
            if last not in result.epochs:
                write_tensors(path, {}, {"not_computed": f"training diverged: {result.diverged}"})
                continue
            facts = {"task": self._told.task, "mask": mask, "rate": rate, "epoch": last}
            facts |= {"sources": self._facts["origin"]["inputs"]}
            with self._bench.at_epoch(variant, last) as trained:
                assert isinstance(trained, Slices)
                located = self._bench.masks[mask]
                write_delta(path, trained, located, self._told.part, identity, facts)

    def _kinds(self) -> list[tuple[str, str]]:
        """(mask, arm) of everything that trains and can; what cannot is noted."""
        kinds: list[str] = [kind for kind in TRAINED if kind in self._told.arms]
        found = [(mask, kind) for mask in self._own() for kind in kinds if kind != "full"]
        found += [("", "full")] if "full" in kinds else []
        return self._possible(found)

    def _own(self) -> dict[str, NDArray[np.bool_]]:
        """Masks of the run, without the sets that are only crossed."""
        wanted = self._told.masks
        return {name: mask for name, mask in self._bench.masks.items() if name in wanted}

    def _possible(self, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        possible = []
        for mask, kind in found:
            try:
                self._bench.describe(Arm(kind, mask, 0))
                possible.append((mask, kind))
            except ValueError as reason:  # too few neurons outside a large mask
                self._facts["missing"][f"{mask}/{kind}"] = f"not computed: {reason}"
        return possible

    def _choose(self, validation: Encoded | None) -> float:
        """Best rate of every arm, and the one that is best for all of them together."""
        rates = self._told.rates
        kinds = self._kinds()
        if validation is None:
            self._best = dict.fromkeys(kinds, rates[0])
            return rates[0]
        scores = {kind: [self._validated(*kind, rate, validation) for rate in rates]
                  for kind in kinds}  # fmt: skip
        self._best = {kind: rates[int(np.argmax(s))] for kind, s in scores.items()}
        shared = (
            rates[int(np.argmax(np.sum(list(scores.values()), axis=0)))] if scores else rates[0]
        )
        self._facts["validation"] = [
            {"mask": mask, "arm": kind, "rate": rate, "log_probability": None if s < -1e300 else s}
            for (mask, kind), values in scores.items()
            for rate, s in zip(rates, values, strict=True)
        ]
        return shared

    def _validated(self, mask: str, kind: str, rate: float, validation: Encoded) -> float:
        """Mean log-probability after the last epoch; hugely negative where training diverged."""
        variant = Variant(Arm(kind, mask, CHOICE if kind in DRAWN else 0), rate)
        last = self._told.epochs[-1]
        if last not in self._bench.train(variant).epochs:
            return -1e301
        with self._bench.at_epoch(variant, last):
            return float(np.mean(judge(self._bench.lm, None, validation).log_probability))

    def _tested(self, variant: Variant, choices: list[str]) -> Iterator[pa.Table]:
        arm, last = variant.arm, self._told.epochs[-1]
        result = self._bench.train(variant)
        only_crossed = arm.mask not in ("", *self._told.masks)
        self._facts["trainings"].append(
            {
                "mask": arm.mask, "arm": arm.kind, "run": arm.run, "rate": variant.rate,
                "choices": choices, "losses": list(result.losses), "diverged": result.diverged,
                **self._bench.describe(arm),
            }
        )  # fmt: skip
        for epoch in result.epochs:
            if only_crossed and epoch != last:
                continue
            crossed = epoch == last and "shared" in choices and arm.kind in _CROSSED
            crossed = crossed and (only_crossed or arm.mask == self._told.cross_mask)
            targets = range(len(self._tests) if crossed else 1)
            yield self._bench.kept(
                f"{variant.name}-{epoch:03d}",
                lambda e=epoch, t=targets: self._at_epoch(variant, e, t),
            )

    def _at_epoch(self, variant: Variant, epoch: int, targets: range) -> pa.Table:
        with self._bench.at_epoch(variant, epoch):
            return pa.concat_tables(
                self._judged(variant.arm, variant.rate, epoch, i) for i in targets
            )

    def _judged(self, arm: Arm, rate: float | None, epoch: int, target: int = 0) -> pa.Table:
        """Answers to one target; controls are scored by log-probability alone on other tasks."""
        speaks = target == 0 or arm.kind not in DRAWN
        texts = self._tests[target]
        judged = judge(self._bench.lm, self._tasks[target] if speaks else None, texts)
        return answer_rows(self._targets[target]["id"], arm, rate, epoch, texts, judged)
