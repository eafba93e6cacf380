"""Knowledge neurons: the neurons that contribute most to the answer of one prompt.

Scores are the path integrals of `caploc.attribution.engine`: P(answer) with the neurons of a layer
scaled from 0 to their value at the last position. A prompt locates the neurons with at least 0.2
times its largest score (`select`); `refined` keeps those that several prompts of a fact agree on.

Source: Dai et al., Knowledge Neurons in Pretrained Transformers, ACL 2022, section 3.2, and the
published code. Different from public ports for decoders: answers of several tokens follow their
gold prefix, not the model's own words, and no special token is taken for a part of the answer.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from caploc.attribution.engine import Attribution
from caploc.locating import Given, neurons_per_layer, stacked
from caploc.locators import cnl
from caploc.measures.knowledge_neurons import Refined, refine, select
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample
from caploc.settings import Count, FixedPath, Share

__all__ = [
    "PAPER",
    "RANKED",
    "TITLE",
    "UNIT",
    "Refined",
    "locate",
    "located",
    "per_layer",
    "refine",
    "refined",
    "score",
    "select",
]

TITLE = "Knowledge neurons"
UNIT = "ffn neuron"
PAPER = {"fidelity": 0.373, "reliability": 0.114}
"""Overlap of rewrites and IPP that the paper prints for it (GPT-J, CounterFact)."""
RANKED = "value"
per_layer = neurons_per_layer


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    site: Literal["post", "pre"] = "post",
    rule: FixedPath = "linspace",
    steps: Count = 20,
    max_answer_tokens: Count | None = 64,
    batch_rows: Count = 4096,
    memory_mib: int | None = None,
    seed: int = 0,
) -> list[Attribution | Dropped]:
    """Score every neuron for each prompt.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        site: post: input of the FFN's output projection; pre: output of its first (gate)
            projection, before the nonlinearity
        rule: path points and weights; ``linspace`` as in public code. ``inclusive`` with one step
            fewer has the same points and differs by a constant factor, which `select` does not see
        steps: S of the path rule
        max_answer_tokens: longer answers: a seeded uniform sample of this many answer positions
        batch_rows: rows in flight; bounds memory
        memory_mib: most MiB beside the weights; None takes a part of what is free.
        seed: of the sample of answer positions.

    Returns:
        Per sample its `Attribution`, or why it was left out (no answer tokens, too long).
    """
    return cnl.locate(
        lm,
        samples,
        site=site,
        rule=rule,
        steps=steps,
        max_answer_tokens=max_answer_tokens,
        batch_rows=batch_rows,
        memory_mib=memory_mib,
        seed=seed,
    )


def located(result: Attribution, *, ratio: Share = 0.2) -> dict[str, NDArray[np.bool_]]:
    """The located set of one prompt by its name, see `select`.

    Args:
        result: of the prompt.
        ratio: located from this share of the largest score of the prompt
    """
    return {f"{ratio:g} x max": select(result.scores, ratio)}


def refined(sets: Sequence[Sequence[NDArray[np.bool_]]], *, share: Share = 0.7) -> Refined:
    """Neurons that the prompts of each fact agree on, see `refine`.

    Args:
        sets: per fact the located set of each prompt.
        share: share of the prompts that must agree in refinement; adapted to 2 to 5 neurons a fact
    """
    return refine(sets, share)


def score(
    lm: LanguageModel, given: Given, *, seed: int = 0, ratio: Share = 0.2, **settings: Any
) -> NDArray[np.float64]:
    """Refined over samples: 1 where a sample locates a neuron, else 0.

    Refinement keeps the neurons above a share of the prompts; ranking by that share needs no
    threshold.

    Args:
        lm: the model, with its tokenizer.
        given: samples.
        seed: of `locate`.
        ratio: located from this share of the largest score of the prompt
        settings: of `locate`.
    """
    scores = stacked(locate(lm, given.own, seed=seed, **settings))
    return np.stack([select(grid, ratio) for grid in scores]).astype(np.float64)
