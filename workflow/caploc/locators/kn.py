"""Knowledge neurons: the FFN neurons that contribute most to the answer of one prompt.

Scores are the path integrals of `caploc.attribution.engine`: P(answer) with the neurons of a layer
scaled from 0 to their value at the last position. A prompt locates the neurons with at least 0.2
times its largest score (`select`); `refine` keeps those that several prompts of a fact agree on.

Source: Dai et al., Knowledge Neurons in Pretrained Transformers, ACL 2022, section 3.2, and the
published code. Different from public ports for decoders: answers of several tokens follow their
gold prefix, not the model's own words, and no special token is taken for a part of the answer.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caploc.attribution.engine import Attribution
from caploc.locators import cnl
from caploc.measures.knowledge_neurons import Refined, refine, select
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

__all__ = [
    "PAPER",
    "TITLE",
    "UNIT",
    "Refined",
    "locate",
    "located",
    "per_layer",
    "refine",
    "select",
]

TITLE = "Knowledge neurons"
UNIT = "ffn neuron"
PAPER = {"fidelity": 0.373, "reliability": 0.114}
"""Overlap of rewrites and IPP that the paper prints for it (GPT-J, CounterFact)."""


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    site: str = "post",
    rule: str = "linspace",
    steps: int = 20,
    max_answer_tokens: int | None = None,
    batch_rows: int = 4096,
    memory_mib: int | None = None,
    seed: int = 0,
) -> list[Attribution | Dropped]:
    """Score every neuron for each prompt.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        site: see `attribute`, as all below.
        rule: path rule; ``linspace`` as in public code. ``inclusive`` with one step fewer has the
            same points and differs by a constant factor, which `select` does not see.
        steps: S of the rule.
        max_answer_tokens: longer answers are scored at a random choice of this many tokens.
        batch_rows: most rows in one pass.
        memory_mib: most MiB beside the weights; None takes a part of what is free.
        seed: of that choice.

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


def located(result: Attribution, *, ratio: float = 0.2) -> dict[str, NDArray[np.bool_]]:
    """The located set of one prompt by its name, see `select`."""
    return {f"{ratio:g} x max": select(result.scores, ratio)}


def per_layer(result: Attribution) -> list[int]:
    """Number of neurons in each layer."""
    return [result.scores.shape[1]] * result.scores.shape[0]
