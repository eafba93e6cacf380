"""Silence located neurons and random ones, and see what is left of one task.

Settings: `EraseNeurons`. Inputs: ``manifest``, ``weights``, ``scores``, ``masks`` (in that order),
``test``, ``train`` (worked examples), ``neutral`` (test split). Outputs: ``likelihood``, one row
per (number of worked examples, arm, sample); ``answers``, the same for generated answers; ``sets``,
one row per arm with its size and what it does to neutral text. Arms are those of
`_arms.erasure_arms`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc import plugins
from caploc.experiments.erasure._arms import Arm, erasure_arms
from caploc.experiments.erasure._scored import (
    ANSWERS,
    ARMS,
    LIKELIHOOD,
    answers,
    erasures_of,
    is_told,
    likelihood,
)
from caploc.experiments.erasure.settings import EraseNeurons
from caploc.experiments.erasure.weigh_neurons import read_weights
from caploc.files import tables
from caploc.files.masks import read_usable
from caploc.files.scores import read_scores
from caploc.files.tables import COUNT, NUMBER, TEXT, Schema
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.processor import use_processor
from caploc.forward.samples import (
    encoded,
    in_chat,
    model_of,
    raw_samples,
    samples_of,
    with_shots,
)
from caploc.forward.silencing import Erasure
from caploc.jobs.job import Job
from caploc.measures.random_sets import size_difference
from caploc.models.language_model import LanguageModel

__all__ = ["run"]

_LOG = logging.getLogger(__name__)
_SCORED: Schema = {"shots": COUNT, **LIKELIHOOD}
_SETS: Schema = {
    **ARMS, "n_neurons": COUNT, "size_difference": NUMBER, "neutral_logprob": pl.List(NUMBER),
    "neutral_tokens": COUNT, "set_key": TEXT,
}  # fmt: skip


def run(job: Job) -> None:
    """Score, generate, write."""
    use_processor(job.threads)
    told = job.told(EraseNeurons)
    lm = model_of(job.input("manifest"), job.spec)
    masks, reasons = read_usable(told.masks, job.inputs["masks"])
    weights = read_weights(job.input("weights"), told.task)
    fill = None
    if told.neutral is not None:
        fill = read_weights(job.input("weights"), told.neutral)["mean"]
    modes = tuple(mode for mode in told.modes if mode != "mean" or fill is not None)
    arms, missing = _arms(job, replace(told, modes=modes), masks, weights)
    erasures = erasures_of(arms, fill)
    spoken = [i for i, arm in enumerate(arms) if is_told(arm, told.answered_draws)]
    heard, speaking = [arms[i] for i in spoken], [erasures[i] for i in spoken]
    task = plugins.load("tasks", told.plugin).TASK
    if told.labels:
        task = replace(task, labels=told.labels)
    scored: list[pl.DataFrame] = []
    answered: list[pl.DataFrame] = []
    dropped: dict[str, list[list[str]]] = {}
    for shots in told.shots:
        examples = raw_samples(job.input("train"), shots) if shots else []
        test = in_chat(lm, with_shots(raw_samples(job.input("test")), examples))
        some = encoded(lm, test[: told.samples])
        dropped[str(shots)] = some.dropped
        found = likelihood(lm, some, arms, erasures, told)
        scored.append(found.with_columns(shots=pl.lit(shots)))
        some = encoded(lm, test[: told.answered])
        answered.append(answers(lm, task, some, heard, speaking, told, shots))
    about = {
        "dropped": dropped, "not_computed": reasons,
        "without_control": [arm.labels() | {"reason": reason} for arm, reason in missing],
    }  # fmt: skip
    sets = _sets(arms, weights["activation-size"])
    if told.neutral is not None and spoken:
        for i, neutral in zip(spoken, _neutral(lm, job, told, speaking), strict=True):
            sets[i] |= neutral
    for name, frame in (
        ("likelihood", tables.gathered(scored, _SCORED)),
        ("answers", tables.gathered(answered, ANSWERS)),
        ("sets", pl.DataFrame(sets, dict(_SETS))),
    ):
        tables.write_part(frame, job.outputs[name], job.origin(), **about)
    _LOG.info("%s: %d sets of neurons silenced", told.task, len(arms))


def _arms(
    job: Job,
    told: EraseNeurons,
    masks: Mapping[str, NDArray[np.bool_]],
    weights: Mapping[str, NDArray[np.float64]],
) -> tuple[list[Arm], list[tuple[Arm, str]]]:
    """Arms of the masks, and which lack a control and why; none where no mask can be used."""
    if not masks:
        return [], []
    scores = read_scores(job.input("scores"), halves=False).whole.astype(np.float64)
    others = {name: weights[name] for name in told.locators}
    arms, missing = erasure_arms(
        masks, told.headline, scores, others, weights["activation-size"], told,
        f"{told.seed}/{told.model}/{told.task}",
    )  # fmt: skip
    for arm, reason in missing:
        _LOG.warning(
            "%s: no %s random sets beside %s %s: %s",
            told.task, arm.control, arm.arm, arm.mask or f"at {arm.share:.1%}", reason,
        )  # fmt: skip
    return arms, missing


def _sets(arms: Sequence[Arm], sizes: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Size and match of every arm."""
    rows: list[dict[str, Any]] = []
    beside: NDArray[np.bool_] | None = None
    for arm in arms:
        # `with_controls` yields an arm before its controls.
        beside = arm.neurons if not arm.control else beside
        rows.append(
            arm.labels()
            | {
                "n_neurons": int(arm.neurons.sum()),
                "size_difference": size_difference(beside, arm.neurons, sizes)
                if arm.control and beside is not None
                else None,
                "set_key": f"{crc32(arm.neurons.tobytes()):08x}",
            }
        )
    return rows


def _neutral(
    lm: LanguageModel, job: Job, told: EraseNeurons, erasures: Sequence[Erasure]
) -> list[dict[str, Any]]:
    """How likely neutral text is when a set is silenced."""
    # The first token has nothing in front of it.
    found = encoded(lm, samples_of(lm, job.input("neutral"), told.samples))
    whole = [[*x, *y] for x, y in zip(found.prompts, found.answers, strict=True)]
    total = np.zeros((len(erasures), len(whole)))
    n_tokens = 0
    for samples, part in answer_likelihood(
        lm, [ids[:1] for ids in whole], [ids[1:] for ids in whole], erasures,
        batch_tokens=told.batch_tokens,
    ):  # fmt: skip
        n_tokens += int(part.n_tokens.sum())
        total[:, samples] = part.logprob
    return [{"neutral_logprob": line, "neutral_tokens": n_tokens} for line in total.tolist()]
