"""Silence located neurons and random ones, and see what is left of one task.

Settings: `EraseNeurons`. Inputs: ``manifest``, ``weights``, ``scores``, ``masks`` (in that order),
``test``, ``train`` (worked examples), ``neutral`` (test split). Outputs: ``likelihood``, one row
per (number of worked examples, arm, sample); ``answers``, the same for generated answers; ``sets``,
one row per arm with its size and what it does to neutral text. Arms are those of
`_arms.erasure_arms`.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc import plugins
from caploc.experiments.erasure._arms import Arm, erasure_arms
from caploc.experiments.erasure.settings import CrossErase, EraseNeurons
from caploc.experiments.erasure.weigh_neurons import read_weights
from caploc.files import store
from caploc.files.masks import read_mask, unusable
from caploc.files.scores import read_scores
from caploc.forward.generation import complete
from caploc.forward.likelihood import answer_likelihood, sample_groups
from caploc.forward.processor import use_processor
from caploc.forward.samples import Encoded, encoded, model_of, samples_of, with_shots
from caploc.forward.silencing import Erasure, Erasures
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.measures.random_sets import size_difference
from caploc.models.language_model import LanguageModel
from caploc.records import Sample
from caploc.samples.judge import judge

__all__ = ["ARM_FIELDS", "SCORES", "erasures_of", "likelihood_columns", "run"]

_LOG = logging.getLogger(__name__)
SCORES = ("accuracy", "lenient", "malformed", "bleu", "parses", "ranked")
ARM_FIELDS = [
    ("mask", pa.string()), ("arm", pa.string()), ("mode", pa.string()), ("share", pa.float64()),
    ("control", pa.string()), ("draw", pa.int32()), ("source", pa.string()),
]  # fmt: skip


def run(job: Job) -> None:
    """Score, generate, write."""
    use_processor(job.threads)
    told = job.told(EraseNeurons)
    lm = model_of(job.input("manifest"), job.spec)
    masks, reasons = _masks(told.masks, job.inputs["masks"])
    weights = read_weights(job.input("weights"), told.task)
    sizes = weights["activation-size"]
    fill = None
    if told.neutral is not None:
        fill = read_weights(job.input("weights"), told.neutral)["mean"]
    modes = tuple(mode for mode in told.modes if mode != "mean" or fill is not None)
    arms: list[Arm] = []
    missing: list[tuple[Arm, str]] = []
    if masks:
        scores = read_scores(job.input("scores"), halves=False).whole.astype(np.float64)
        others = {name: weights[name] for name in told.locators}
        arms, missing = erasure_arms(
            masks, told.headline, scores, others, sizes, replace(told, modes=modes),
            f"{told.seed}/{told.model}/{told.task}",
        )  # fmt: skip
    for arm, reason in missing:
        _LOG.warning(
            "%s: no %s random sets beside %s %s: %s",
            told.task, arm.control, arm.arm, arm.mask or f"at {arm.share:.1%}", reason,
        )  # fmt: skip
    task = plugins.load("tasks", told.plugin).TASK
    if told.labels:
        task = replace(task, labels=told.labels)
    found: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    dropped: dict[str, list[list[str]]] = {}
    for shots in told.shots:
        examples = samples_of(job.input("train"), shots) if shots else []
        test = with_shots(samples_of(job.input("test")), examples)
        some = encoded(lm, test[: told.samples])
        dropped[str(shots)] = some.dropped
        erasures = erasures_of(arms, fill)
        found += likelihood_columns(lm, some, arms, erasures, told, {"shots": shots})
        spoken = [arm for arm in arms if _is_told(arm, told.answered_draws)]
        some = encoded(lm, test[: told.answered])
        answers += _answers(lm, task, some, spoken, erasures_of(spoken, fill), told, shots)
    metadata = {
        "origin": job.origin(), "dropped": dropped, "not_computed": reasons,
        "without_control": [arm.labels() | {"reason": reason} for arm, reason in missing],
    }  # fmt: skip
    fields = [("shots", pa.int32()), *ARM_FIELDS, ("sample_id", pa.string())]
    counts = [("logprob", pa.float64()), ("n_right", pa.int32()), ("n_tokens", pa.int32())]
    _write(found, [*fields, *counts], job.outputs["likelihood"], metadata)
    judged = [("completion", pa.string()), *((name, pa.float64()) for name in SCORES)]
    _write(answers, [*fields, *judged], job.outputs["answers"], metadata)
    sets = _sets(lm, arms, sizes, erasures_of(arms, fill), job, told)
    columns = [
        ("n_neurons", pa.int32()),
        ("size_difference", pa.float64()),
        ("neutral_logprob", pa.list_(pa.float64())),
        ("neutral_tokens", pa.int32()),
        ("set_key", pa.string()),
    ]
    _write(sets, [*ARM_FIELDS, *columns], job.outputs["sets"], metadata)
    _LOG.info("%s: %d sets of neurons silenced", told.task, len(arms))


def _masks(
    names: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str]]:
    """Masks by id, and why the others were not computed."""
    masks, reasons = {}, {}
    for name, path in zip(names, paths, strict=True):
        reason = unusable(store.read_metadata(path))
        if reason:
            reasons[name] = reason
        else:
            masks[name] = read_mask(path)
    return masks, reasons


def erasures_of(arms: Sequence[Arm], fill: NDArray[np.float64] | None) -> list[Erasure]:
    """How each arm silences the model."""
    return [
        Erasure(
            arm.neurons,
            "answer" if arm.mode == "answer" else "all",
            fill if arm.mode == "mean" else None,
        )
        for arm in arms
    ]


def likelihood_columns(
    lm: LanguageModel,
    some: Encoded,
    arms: Sequence[Arm],
    erasures: Sequence[Erasure],
    told: EraseNeurons | CrossErase,
    more: dict[str, Any],
) -> list[dict[str, Any]]:
    """One row per arm that silences something (or is the base) and sample."""
    # An empty set is a result of its own: it has a row in `sets` and nothing to score.
    used = [i for i, arm in enumerate(arms) if arm.arm == "base" or arm.neurons.any()]
    if not used or not some.samples:
        return []
    work = answer_likelihood(
        lm, some.prompts, some.answers, [erasures[i] for i in used],
        batch_tokens=told.batch_tokens,
    )  # fmt: skip
    rows = []
    total = len(sample_groups(some.prompts, some.answers, len(used), told.batch_tokens))
    for samples, part in tracked(work, total, f"{told.task}: {len(used)} sets"):
        for a, i in enumerate(used):
            labels = arms[i].labels() | more
            for k, sample in enumerate(samples):
                rows.append(
                    labels
                    | {
                        "sample_id": some.samples[sample].sample_id,
                        "logprob": float(part.logprob[a, k]),
                        "n_right": int(part.n_right[a, k]),
                        "n_tokens": int(part.n_tokens[k]),
                    }
                )
    return rows


def _is_told(arm: Arm, n_draws: int) -> bool:
    """Arms whose answers are generated: the masks at all positions and a few matched draws."""
    if arm.arm == "base":
        return True
    is_mask = arm.arm == "located" and arm.mode == "all" and arm.share is None
    return is_mask and bool(arm.neurons.any()) and (
        not arm.control or (arm.control == "matched" and arm.draw < n_draws)
    )  # fmt: skip


def _answers(
    lm: LanguageModel,
    task: Any,
    some: Encoded,
    arms: Sequence[Arm],
    erasures: Sequence[Erasure],
    told: EraseNeurons,
    shots: int,
) -> list[dict[str, Any]]:
    """Generated and ranked answers of every arm."""
    if not arms or not some.samples:
        return []
    n = len(some.samples)
    which = [a for a in range(len(arms)) for _ in range(n)]
    gold = [sample.answer for sample in some.samples]
    work = complete(
        lm, [s.prompt for s in some.samples] * len(arms), gold * len(arms), told.answered_rows,
        Erasures(lm, erasures), which,
    )  # fmt: skip
    ranked = _ranked(lm, task, some.samples, erasures, told)
    rows = []
    for i, completion in tracked(work, len(which), f"{told.task}: answers"):
        a, k = divmod(i, n)
        scores: dict[str, Any] = dict.fromkeys(SCORES) | judge(task, gold[k], completion)
        if ranked is not None:
            scores["ranked"] = float(ranked[a, k])
        rows.append(
            arms[a].labels()
            | {"shots": shots, "sample_id": some.samples[k].sample_id, "completion": completion}
            | scores
        )
    return rows


def _ranked(
    lm: LanguageModel,
    task: Any,
    samples: Sequence[Sample],
    erasures: Sequence[Erasure],
    told: EraseNeurons,
) -> NDArray[np.bool_] | None:
    """(arm, sample) the gold label is the likeliest of all labels.

    None without labels, and where two labels are the same tokens (a model that has not learned
    the words): a ranking would be decided by ties. The other scores stand, so the run goes on.
    """
    if task.form != "label":
        return None
    space = " " if samples[0].answer.startswith(" ") else ""
    labels = [space + label for label in task.labels]
    choices = encoded(lm, [Sample(s.sample_id, s.prompt, x) for s in samples for x in labels])
    if choices.dropped:
        return None
    tokens = {tuple(ids) for ids in choices.answers[: len(labels)]}
    if len(tokens) < len(labels):
        _LOG.warning(
            "%s: labels are not ranked: %d labels become %d token sequences, so some are the same "
            "to this tokenizer; use other words as `labels`",
            told.task, len(labels), len(tokens),
        )  # fmt: skip
        return None
    logprob = np.zeros((len(erasures), len(samples) * len(labels)))
    for chosen, part in answer_likelihood(
        lm, choices.prompts, choices.answers, erasures, batch_tokens=told.batch_tokens
    ):
        logprob[:, chosen] = part.logprob
    best = logprob.reshape(len(erasures), len(samples), len(labels)).argmax(-1)
    gold = [labels.index(s.answer) if s.answer in labels else -1 for s in samples]
    return best == np.array(gold)


def _sets(
    lm: LanguageModel,
    arms: Sequence[Arm],
    sizes: NDArray[np.float64],
    erasures: Sequence[Erasure],
    job: Job,
    told: EraseNeurons,
) -> list[dict[str, Any]]:
    """Size, match and effect on neutral text of every arm."""
    rows: list[dict[str, Any]] = []
    beside: NDArray[np.bool_] | None = None
    for arm in arms:
        beside = arm.neurons if not arm.control else beside
        rows.append(
            arm.labels()
            | {
                "n_neurons": int(arm.neurons.sum()),
                # `with_controls` yields an arm before its controls.
                "size_difference": size_difference(beside, arm.neurons, sizes)
                if arm.control and beside is not None
                else None,
                "neutral_logprob": None,
                "neutral_tokens": None,
                "set_key": f"{crc32(arm.neurons.tobytes()):08x}",
            }
        )
    spoken = [i for i, arm in enumerate(arms) if _is_told(arm, told.answered_draws)]
    if told.neutral is None or not spoken:
        return rows
    # The first token has nothing in front of it.
    found = encoded(lm, samples_of(job.input("neutral"), told.samples))
    whole = [[*x, *y] for x, y in zip(found.prompts, found.answers, strict=True)]
    total: dict[int, list[float]] = {i: [0.0] * len(whole) for i in spoken}
    n_tokens = 0
    for samples, part in answer_likelihood(
        lm, [ids[:1] for ids in whole], [ids[1:] for ids in whole], [erasures[i] for i in spoken],
        batch_tokens=told.batch_tokens,
    ):  # fmt: skip
        n_tokens += int(part.n_tokens.sum())
        for a, i in enumerate(spoken):
            for k, sample in enumerate(samples):
                total[i][sample] = float(part.logprob[a, k])
    for i in spoken:
        rows[i] |= {"neutral_logprob": total[i], "neutral_tokens": n_tokens}
    return rows


def _write(
    rows: list[dict[str, Any]],
    fields: list[Any],
    path: Path,
    metadata: dict[str, Any],
) -> None:
    schema = pa.schema(fields)
    names = set(schema.names)
    kept = [{k: v for k, v in row.items() if k in names} for row in rows]
    store.write_table(pa.Table.from_pylist(kept, schema), path, metadata)
