"""Does a model complete a prompt with a known answer? Token by token, the gold answer before it.

If every answer token is the most probable one after the prompt and the gold tokens before it,
greedy generation writes the answer; one pass over the text tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode
from caploc.records import Dropped

__all__ = ["Recall", "recall"]


@dataclass(frozen=True, slots=True)
class Recall:
    """How a model completes one prompt.

    Attributes:
        correct: greedy generation begins with the answer.
        probability: of the whole answer, the product over its tokens; 0 to 1.
    """

    correct: bool
    probability: float


@torch.no_grad()
def recall(
    lm: LanguageModel, prompts: Sequence[str], answers: Sequence[str], batch: int = 64
) -> list[Recall | Dropped]:
    """Check the answers to many prompts.

    Args:
        lm: the model, with its tokenizer.
        prompts: texts before the answers.
        answers: gold answers, one a prompt.
        batch: prompts in one pass, those of similar length together; changes rounding only.

    Returns:
        Per prompt its `Recall`, or why it was left out (no answer tokens, too long).
    """
    results: dict[int, Recall | Dropped] = {}
    encoded: dict[int, tuple[list[int], list[int]]] = {}
    for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        try:
            encoded[i] = encode(lm.tokenizer, prompt, answer, context=lm.context)
        except Dropped as reason:
            results[i] = reason
    order = sorted(encoded, key=lambda i: (sum(map(len, encoded[i])), i))
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        found = _check(lm, [encoded[i] for i in chosen])
        results |= dict(zip(chosen, found, strict=True))
    return [results[i] for i in range(len(prompts))]


def _check(lm: LanguageModel, pairs: list[tuple[list[int], list[int]]]) -> list[Recall]:
    width = max(len(prompt) + len(answer) - 1 for prompt, answer in pairs)
    # A causal model does not see what stands behind: padding needs no mask.
    ids = torch.zeros(len(pairs), width, dtype=torch.long)
    for row, (prompt, answer) in enumerate(pairs):
        read = [*prompt, *answer[:-1]]
        ids[row, : len(read)] = torch.tensor(read)
    hidden = lm.model.base_model(input_ids=ids.to(lm.device), use_cache=False).last_hidden_state
    found = []
    for row, (prompt, answer) in enumerate(pairs):
        at = slice(len(prompt) - 1, len(prompt) + len(answer) - 1)
        logits = lm.head(hidden[row, at]).double()
        gold = torch.tensor(answer, device=logits.device)[:, None]
        chances = torch.log_softmax(logits, -1).gather(1, gold)
        right = bool((logits.argmax(-1, keepdim=True) == gold).all())
        found.append(Recall(right, float(chances.sum().exp())))
    return found
