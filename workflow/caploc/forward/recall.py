"""Does a model complete a prompt with a known answer? Token by token, the gold answer before it.

If every answer token is the most probable one after the prompt and the gold tokens before it,
greedy generation writes the answer; one pass over the text tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from caploc.forward.answer_pass import answer_passes
from caploc.models.language_model import LanguageModel
from caploc.records import Dropped, Sample

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
    samples = [Sample("", *pair) for pair in zip(prompts, answers, strict=True)]
    for found in answer_passes(lm, samples, neurons=False, batch=batch):
        if isinstance(found, tuple):
            results[found[0]] = found[1]
            continue
        right = (found.is_best.sum(1) == found.n_tokens).tolist()
        judged = map(Recall, right, found.total.exp().tolist())
        results |= dict(zip(found.members, judged, strict=True))
    return [results[i] for i in range(len(prompts))]
