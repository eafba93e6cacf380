"""Capability-neuron localization: path-integrated contribution of every FFN neuron."""

from collections.abc import Sequence

from caploc.attribution.engine import Attribution, attribute
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode
from caploc.records import Dropped, Sample

__all__ = ["TITLE", "UNIT", "locate"]

TITLE = "Mean scores (CNL)"
UNIT = "ffn neuron"


def locate(
    lm: LanguageModel,
    samples: Sequence[Sample],
    *,
    site: str = "post",
    rule: str = "inclusive",
    steps: int = 19,
    tolerance: float = 1e-3,
    max_answer_tokens: int | None = 64,
    batch_rows: int = 4096,
    memory_mib: int | None = None,
    seed: int = 0,
) -> list[Attribution | Dropped]:
    """Score every neuron for each sample.

    Args:
        lm: the model, with its tokenizer.
        samples: prompts with gold answers.
        site: see `attribute`, as all below.
        rule: path rule.
        steps: S of the rule, or the cap of an adaptive one.
        tolerance: of an adaptive rule.
        max_answer_tokens: longer answers are scored at a random choice of this many tokens.
        batch_rows: most rows in one pass.
        memory_mib: most MiB beside the weights; None takes a part of what is free.
        seed: of that choice.

    Returns:
        Per sample its `Attribution`, or why it was left out (no answer tokens, too long).
    """
    dropped: dict[int, Dropped] = {}
    kept, prompts, answers = [], [], []
    for i, sample in enumerate(samples):
        try:
            prompt, answer = encode(lm.tokenizer, sample.prompt, sample.answer, context=lm.context)
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
