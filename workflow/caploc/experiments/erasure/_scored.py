"""What a model says under every arm: how likely the gold answers are, and answers of its own."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.erasure._arms import Arm
from caploc.experiments.erasure.settings import CrossErase, EraseNeurons
from caploc.files.tables import COUNT, NUMBER, TEXT, Schema, texts
from caploc.forward.generation import complete
from caploc.forward.likelihood import answer_likelihood, sample_groups
from caploc.forward.samples import Encoded, encoded
from caploc.forward.silencing import Erasure, Erasures
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel
from caploc.records import Sample
from caploc.samples.judge import judge

__all__ = ["ANSWERS", "ARMS", "LIKELIHOOD", "answers", "erasures_of", "is_told", "likelihood"]

_LOG = logging.getLogger(__name__)
_SCORES = ("accuracy", "lenient", "malformed", "bleu", "parses", "ranked")
ARMS: Schema = {**texts("mask", "arm", "mode"), "share": NUMBER, "control": TEXT, "draw": COUNT,
                "source": TEXT}  # fmt: skip
LIKELIHOOD: Schema = {**ARMS, "sample_id": TEXT, "logprob": NUMBER, "n_right": COUNT,
                      "n_tokens": COUNT}  # fmt: skip
ANSWERS: Schema = {
    "shots": COUNT,
    **ARMS,
    **texts("sample_id", "completion"),
    **dict.fromkeys(_SCORES, NUMBER),
}


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


def likelihood(
    lm: LanguageModel,
    some: Encoded,
    arms: Sequence[Arm],
    erasures: Sequence[Erasure],
    told: EraseNeurons | CrossErase,
) -> pl.DataFrame:
    """`LIKELIHOOD`: one row per arm that silences something (or is the base) and sample."""
    # An empty set is a result of its own: it has a row in `sets` and nothing to score.
    used = [i for i, arm in enumerate(arms) if arm.arm == "base" or arm.neurons.any()]
    found = [pl.DataFrame(schema=dict(LIKELIHOOD))]
    if not used or not some.samples:
        return found[0]
    work = answer_likelihood(
        lm, some.prompts, some.answers, [erasures[i] for i in used],
        batch_tokens=told.batch_tokens,
    )  # fmt: skip
    labels = pl.DataFrame([arms[i].labels() for i in used], dict(ARMS))
    total = len(sample_groups(some.prompts, some.answers, len(used), told.batch_tokens))
    for samples, part in tracked(work, total, f"{told.task}: {len(used)} sets"):
        scored = pl.DataFrame(
            {
                "sample_id": [some.samples[i].sample_id for i in samples] * len(used),
                "logprob": part.logprob.ravel(),
                "n_right": part.n_right.ravel(),
                "n_tokens": np.tile(part.n_tokens, len(used)),
            }
        )
        arm = np.repeat(np.arange(len(used)), len(samples))
        found.append(pl.concat([labels[arm], scored], how="horizontal"))
    return pl.concat(found)


def is_told(arm: Arm, n_draws: int) -> bool:
    """Arms whose answers are generated: the masks at all positions and a few matched draws."""
    if arm.arm == "base":
        return True
    is_mask = arm.arm == "located" and arm.mode == "all" and arm.share is None
    return is_mask and bool(arm.neurons.any()) and (
        not arm.control or (arm.control == "matched" and arm.draw < n_draws)
    )  # fmt: skip


def answers(
    lm: LanguageModel,
    task: Any,
    some: Encoded,
    arms: Sequence[Arm],
    erasures: Sequence[Erasure],
    told: EraseNeurons,
    shots: int,
) -> pl.DataFrame:
    """`ANSWERS`: generated and ranked answers of every arm."""
    rows: list[dict[str, Any]] = []
    if not arms or not some.samples:
        return pl.DataFrame(rows, dict(ANSWERS))
    n = len(some.samples)
    which = [a for a in range(len(arms)) for _ in range(n)]
    gold = [sample.answer for sample in some.samples]
    work = complete(
        lm, [s.prompt for s in some.samples] * len(arms), gold * len(arms), told.answered_rows,
        Erasures(lm, erasures), which,
    )  # fmt: skip
    ranked = _ranked(lm, task, some.samples, erasures, told)
    for i, completion in tracked(work, len(which), f"{told.task}: answers"):
        a, k = divmod(i, n)
        scores: dict[str, Any] = dict.fromkeys(_SCORES) | judge(task, gold[k], completion)
        if ranked is not None:
            scores["ranked"] = float(ranked[a, k])
        rows.append(
            arms[a].labels()
            | {"shots": shots, "sample_id": some.samples[k].sample_id, "completion": completion}
            | scores
        )
    return pl.DataFrame(rows, dict(ANSWERS))


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
