"""The surgery check of a planted model: what each planted set, and sets like it, take away.

Settings: `CheckPlant`. Inputs: ``manifest``, ``sets``, ``samples``. Output: ``check``: right
answers of every task as the model is and after each removal, and for each capability the reasons
why it cannot be used. An answer is right if greedy decoding gives exactly the gold answer.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.known_answer._layout import DECOYS, Layout, like, read_layout
from caploc.experiments.known_answer._planted import PLACE, answered
from caploc.experiments.known_answer._surgery import BASE, chance, judge_capability
from caploc.experiments.known_answer.settings import CheckPlant
from caploc.files import store
from caploc.forward.processor import use_processor
from caploc.forward.samples import encoded, model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
Grid = NDArray[np.bool_]
_NO_FFN = "all FFN neurons"


def run(job: Job) -> None:
    """Silence, judge, write."""
    use_processor(job.threads)
    told = job.told(CheckPlant)
    lm = model_of(job.input("manifest"), PLACE)
    layout = read_layout(job.input("sets"))
    tests = {
        task: encoded(lm, samples_of(lm, path, told.samples))
        for task, path in zip(told.tasks, job.inputs["samples"], strict=True)
    }
    removed = _removed(layout, told.draws, told.seed)
    found: dict[str, dict[str, float]] = {name: {} for name in removed}
    for task, texts in tracked(tests.items(), len(tests), "surgery"):
        _, right = answered(lm, texts, list(removed.values()))
        for name, share in zip(removed, right.mean(axis=1).tolist(), strict=True):
            found[name][task] = share
    guesses = {task: chance([s.answer for s in texts.samples]) for task, texts in tests.items()}
    reasons = {}
    for capability in layout.capabilities:
        drawn = [v for k, v in found.items() if k.startswith(f"{capability}, random ")]
        reasons[capability] = judge_capability(
            capability, len(tests[capability].samples), guesses[capability], found[BASE],
            found[capability], found[_NO_FFN], drawn, told,
        )  # fmt: skip
        for reason in reasons[capability]:
            _LOG.warning("%s-%d, %s: not used: %s", told.plant, told.seed, capability, reason)
    store.write_json(
        {
            "accuracy": found,
            "n_neurons": {name: int(grid.sum()) for name, grid in removed.items()},
            "n": {task: len(texts.samples) for task, texts in tests.items()},
            "chance": guesses,
            "reasons": reasons,
            "usable": {capability: not why for capability, why in reasons.items()},
            "origin": job.origin(),
        },
        job.outputs["check"],
    )


def _removed(layout: Layout, draws: int, seed: int) -> dict[str, Grid]:
    """What is silenced, by name."""
    nothing = np.zeros(layout.owner.shape, dtype=np.bool_)
    removed = {BASE: nothing, _NO_FFN: ~nothing}
    for capability in layout.capabilities:
        planted = layout.carrying(capability)
        removed[capability] = planted
        copies = layout.of("copy", capability=capability)
        if copies.any():
            removed[f"{capability}, first copy"] = planted & ~copies
            removed[f"{capability}, second copy"] = copies
        against = layout.of("negative", capability=capability)
        if against.any():
            removed[f"{capability}, negative"] = against
        for k in range(draws):
            rng = np.random.default_rng([seed, k, *capability.encode()])
            removed[f"{capability}, random {k}"] = like(layout, planted, rng)
    for kind in DECOYS:
        if kind != "negative" and layout.of(kind).any():
            removed[kind] = layout.of(kind)
    return removed
