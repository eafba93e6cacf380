"""The surgery check of a planted model: what each planted set, and sets like it, take away.

Settings: ``plant``, ``seed``, ``tasks`` (ids, in the order of the inputs), ``samples`` (test
samples of each), ``draws`` (random sets for each capability), ``accuracy``, ``tolerance`` (see
`planting._surgery.Limits`). Inputs: ``manifest``, ``sets``, ``samples``. Output: ``check``: right
answers of every task as the model is and after each removal, and for each capability the reasons
why it cannot be used. An answer is right if greedy decoding gives exactly the gold answer.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.known_answer._layout import DECOYS, Layout, like, read_layout
from caploc.experiments.known_answer._planted import PLACE, right
from caploc.experiments.known_answer._surgery import Limits, Removal, chance, judge_capability
from caploc.files import store
from caploc.forward.processor import use_processor
from caploc.forward.samples import encoded, model_of, samples_of
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked

__all__ = ["BASE", "NO_FFN", "run"]

_LOG = logging.getLogger(__name__)
Grid = NDArray[np.bool_]
BASE, NO_FFN = "as it is", "all FFN neurons"


def run(job: Job) -> None:
    """Silence, judge, write."""
    use_processor(job.threads)
    spec = job.spec
    lm = model_of(job.input("manifest"), PLACE)
    layout = read_layout(job.input("sets"))
    tests = {
        task: encoded(lm, samples_of(path, spec["samples"]))
        for task, path in zip(spec["tasks"], job.inputs["samples"], strict=True)
    }
    removed = _removed(layout, spec["draws"], spec["seed"])
    found: dict[str, dict[str, float]] = {name: {} for name in removed}
    for task, texts in tracked(tests.items(), len(tests), "surgery"):
        shares = right(lm, texts, list(removed.values()))
        for name, share in zip(removed, shares, strict=True):
            found[name][task] = share
    guesses = {
        task: chance([s.answer for s in texts.samples]) for task, texts in tests.items()
    }  # fmt: skip
    limits = Limits(spec["accuracy"], spec["tolerance"])
    reasons = {}
    for capability in layout.capabilities:
        drawn = [Removal(v) for k, v in found.items() if k.startswith(f"{capability}, random ")]
        reasons[capability] = judge_capability(
            capability, len(tests[capability].samples), guesses[capability],
            Removal(found[BASE]), Removal(found[capability]), Removal(found[NO_FFN]), drawn, limits,
        )  # fmt: skip
        for reason in reasons[capability]:
            _LOG.warning("%s-%d, %s: not used: %s", spec["plant"], spec["seed"], capability, reason)
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
    removed = {BASE: nothing, NO_FFN: ~nothing}
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
