"""What a model prefers to say, and how varied its text is: the measures of edited models.

Source: Meng et al. 2022, section 3.2 and public code: success compares mean log-probabilities of
two objects; fluency is the entropy of bigrams and trigrams of generated text, weighted 2/3 and 4/3.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.forward.answer_pass import answer_pass
from caploc.models.language_model import LanguageModel

__all__ = ["log_probabilities", "ngram_entropy"]


@torch.no_grad()
def log_probabilities(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """Mean log P of the tokens of each answer after its prompt, in nat, in one pass.

    Args:
        lm: the model.
        prompts: token ids, at least one each.
        answers: token ids, at least one each.

    Returns:
        (pair,) values.
    """
    found = answer_pass(lm, list(zip(prompts, answers, strict=True)))
    return (found.total / found.n_tokens).cpu().numpy()


def ngram_entropy(texts: Sequence[Sequence[int]]) -> float:
    """Weighted mean entropy of bigrams and trigrams, in bit, mean over texts; 0 for constant text.

    Args:
        texts: token ids; texts of fewer than three tokens count 0.
    """
    found = []
    for text in texts:
        total = 0.0
        for n, weight in ((2, 2 / 3), (3, 4 / 3)):
            counts = np.array(
                list(Counter(zip(*(text[i:] for i in range(n)), strict=False)).values()), float
            )
            p = counts / counts.sum() if counts.size else counts
            total += weight * float(-(p * np.log2(p)).sum()) if p.size else 0.0
        found.append(total / 2)
    return float(np.mean(found)) if found else 0.0
