"""Capability-neuron localization: path-integrated contribution of every FFN neuron."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from caploc.attribution.engine import Attribution, attribute
from caploc.locating import Given, stacked
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample
from caploc.settings import AnyPath, Count, Positive

__all__ = ["RANKED", "TITLE", "UNIT", "locate", "score"]

TITLE = "Mean scores (CNL)"
UNIT = "ffn neuron"
RANKED = "distance"


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    site: Literal["post", "pre"] = "post",
    rule: AnyPath = "inclusive",
    steps: Count = 19,
    tolerance: Positive = 1e-3,
    max_answer_tokens: Count | None = 64,
    batch_rows: Count = 4096,
    memory_mib: int | None = None,
    seed: int = 0,
) -> list[Attribution | Dropped]:
    """Score every neuron for each sample.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        site: post: input of the FFN's output projection; pre: output of its first (gate)
            projection, before the nonlinearity
        rule: path points and weights; inclusive is n = 0..steps with weight 1/steps, as printed
            in the paper; adaptive takes more points where the scores of a layer do not add up
        steps: S of the path rule (points on the path); for adaptive the cap on the intervals of
            a (layer, token), 4, 8, 16, ... up to it
        tolerance: rule adaptive: largest gap, in probability, that is left alone
        max_answer_tokens: longer answers: a seeded uniform sample of this many answer positions
        batch_rows: most rows (answer tokens x path points x layers) in flight, fewer where
            models.*.memory_mib says so; changes rounding only
        memory_mib: most MiB beside the weights; None takes a part of what is free.
        seed: of the sample of answer positions.

    Returns:
        Per sample its `Attribution`, or why it was left out (no answer tokens, too long).
    """
    dropped: dict[int, Dropped] = {}
    kept, prompts, answers = [], [], []
    for i, sample in enumerate(samples):
        try:
            prompt, answer = lm.encode(sample.prompt, sample.answer)
        except Dropped as reason:
            dropped[i] = reason
            continue
        kept.append(i)
        prompts.append(prompt)
        answers.append(answer)
    found = attribute(
        lm,
        prompts,
        answers,
        rule=rule,
        steps=steps,
        tolerance=tolerance,
        site=site,
        max_answer_tokens=max_answer_tokens,
        batch_rows=batch_rows,
        memory_bytes=None if memory_mib is None else memory_mib * 2**20,
        seed=seed,
        names=[samples[i].sample_id for i in kept],
    )
    results = dropped | dict(zip(kept, found, strict=True))
    return [results[i] for i in range(len(samples))]


def score(
    lm: LanguageModel, given: Given, *, seed: int = 0, subtract: bool = False, **settings: Any
) -> NDArray[np.float64]:
    """Contributions of each sample.

    Args:
        lm: the model, with its tokenizer.
        given: samples; neutral text is read if it is subtracted.
        seed: of `locate`.
        subtract: take the mean contribution on neutral text away
        settings: of `locate`.
    """
    own = stacked(locate(lm, given.own, seed=seed, **settings))
    if subtract:
        own -= stacked(locate(lm, given.neutral, seed=seed, **settings)).mean(axis=0)
    return own
