"""What a model answers, and what it loses without some neurons."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from caploc.api.given import Pairs, encoded, read_samples, wrapped
from caploc.api.located import Neurons, mask_of
from caploc.forward.generation import complete
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.silencing import Erasure
from caploc.measures.effects import excess
from caploc.measures.random_sets import draw
from caploc.measures.statistics import bootstrap_mean
from caploc.records import DataError
from caploc.samples.scoring import same_text

__all__ = ["effect", "evaluate"]


def evaluate(model: Any, tokenizer: Any, samples: Pairs, *, batch: int = 32) -> pl.DataFrame:
    """Let a model answer, greedily, and see how likely the right answers are to it.

    Args:
        model: transformers decoder; what acts on it meanwhile, such as `silenced`, counts.
        tokenizer: its tokenizer.
        samples: (prompt, answer) pairs.
        batch: prompts at once; memory and speed only.

    Returns:
        A row a sample, in their order: ``prompt``, ``answer``, ``completion``, ``right`` (equal up
        to case, spacing and a final full stop) and ``logprob`` (nat, whole answer). Samples that do
        not fit the context have null in the last three.

    Raises:
        DataError: samples that are no pairs, or a model that caploc does not know.

    Example:
        >>> caploc.evaluate(model, tokenizer, pairs).columns
        ['prompt', 'answer', 'completion', 'right', 'logprob']
    """
    asked = read_samples(samples, "samples", tokenizer)
    completions: dict[int, str] = {}
    logprobs: dict[int, float] = {}
    with wrapped(model, tokenizer) as lm:
        kept, prompts, answers = encoded(lm, asked)
        texts = [asked[i] for i in kept]
        told = complete(lm, [s.prompt for s in texts], [s.answer for s in texts], batch)
        completions = {kept[i]: text for i, text in told}
        unchanged = [Erasure(np.zeros((lm.n_layers, lm.n_neurons), dtype=np.bool_))]
        for chosen, found in answer_likelihood(lm, prompts, answers, unchanged):
            logprobs |= {kept[i]: float(found.logprob[0, k]) for k, i in enumerate(chosen)}
    n = range(len(asked))
    return pl.DataFrame(
        {
            "prompt": [s.prompt for s in asked],
            "answer": [s.answer for s in asked],
            "completion": [completions.get(i) for i in n],
            "right": [
                same_text(asked[i].answer, completions[i]) if i in completions else None for i in n
            ],
            "logprob": [logprobs.get(i) for i in n],
        },
        schema_overrides={"completion": pl.String, "right": pl.Boolean, "logprob": pl.Float64},
    )


def effect(
    model: Any,
    tokenizer: Any,
    located: Neurons,
    own: Pairs,
    others: Mapping[str, Pairs] | None = None,
    *,
    controls: int = 19,
    seed: int = 0,
) -> pl.DataFrame:
    """What silencing located neurons costs their own ability and others, against random neurons.

    Args:
        model: transformers decoder.
        tokenizer: its tokenizer.
        located: the neurons.
        own: (prompt, answer) pairs of their ability, which were not used to locate them.
        others: pairs of other abilities, by name.
        controls: random sets of as many neurons in the same layers; p is never below
            1 / (controls + 1).
        seed: of the draws and intervals.

    Returns:
        A row an ability: ``ability``, ``fall`` of the log-probability of its answers (nat an
        answer) with ``low`` and ``high`` (95 % bootstrap over samples), ``random`` (mean fall
        under the random sets), ``surplus`` (fall minus that) with ``surplus_low`` and
        ``surplus_high``, ``p`` and ``n`` samples.

    Raises:
        DataError: samples that are no pairs, a mask of another shape, or an empty one.

    Example:
        >>> table = caploc.effect(model, tokenizer, found, pairs, {"other": pairs[:2]}, controls=4)
        >>> table["ability"].to_list()
        ['own', 'other']
    """
    mask = mask_of(located)
    if not mask.any():
        raise DataError("no neuron is located, so there is nothing to silence; lower `sigma`")
    rows = []
    with wrapped(model, tokenizer) as lm:
        mask_of(mask, lm)
        sets = [np.zeros_like(mask), mask]
        try:
            sets += [draw(mask, "layer", seed + k, None) for k in range(controls)]
        except ValueError as reason:
            raise DataError(f"too many neurons are located for random sets: {reason}") from None
        for name, texts in {"own": own, **(others or {})}.items():
            _, prompts, answers = encoded(lm, read_samples(texts, name, tokenizer))
            if not prompts:
                raise DataError(f"{name}: no sample fits the model")
            logprob = np.zeros((len(sets), len(prompts)))
            for chosen, found in answer_likelihood(lm, prompts, answers, [*map(Erasure, sets)]):
                logprob[:, chosen] = found.logprob
            falls = logprob[0] - logprob[1:]
            fall, against = bootstrap_mean(falls[0], seed=seed), excess(falls[0], falls[1:], seed)
            rows.append(
                {
                    "ability": name, "fall": fall.value, "low": fall.low, "high": fall.high,
                    "random": float(falls[1:].mean()), "surplus": against.estimate.value,
                    "surplus_low": against.estimate.low, "surplus_high": against.estimate.high,
                    "p": against.p, "n": len(prompts),
                }
            )  # fmt: skip
    return pl.DataFrame(rows)
