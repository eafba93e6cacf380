"""What a model prefers to say, and how varied its text is: the measures of edited models.

Source: Meng et al. 2022, section 3.2 and public code: success compares mean log-probabilities of
two objects; fluency is the entropy of bigrams and trigrams of generated text, weighted 2/3 and 4/3.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from caploc.models.language_model import LanguageModel

__all__ = ["continue_text", "log_probabilities", "ngram_entropy"]

_TOP = 5


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
    read = [[*x, *y[:-1]] for x, y in zip(prompts, answers, strict=True)]
    length, width = max(map(len, read)), max(map(len, answers))
    ids = torch.tensor([r + [0] * (length - len(r)) for r in read], device=lm.device)
    slots = torch.tensor(
        [
            [len(x) - 1 + min(m, len(y) - 1) for m in range(width)]
            for x, y in zip(prompts, answers, strict=True)
        ],
        device=lm.device,
    )
    targets = torch.tensor([[*y, *[0] * (width - len(y))] for y in answers], device=lm.device)
    n_tokens = torch.tensor([len(y) for y in answers], device=lm.device)
    hidden = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    z = lm.logits(hidden[torch.arange(len(read), device=lm.device)[:, None], slots])
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    gold = torch.log_softmax(z, -1).gather(-1, targets[..., None])[..., 0]
    counts = torch.arange(width, device=lm.device) < n_tokens[:, None]
    return (gold.masked_fill(~counts, 0.0).double().sum(1) / n_tokens).cpu().numpy()


@torch.no_grad()
def continue_text(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], n_tokens: int, seed: int
) -> list[list[int]]:
    """Continue prompts at random, each token among the five most probable ones.

    Args:
        lm: the model.
        prompts: token ids, at least one each.
        n_tokens: length of every continuation; it goes on behind an end of text.
        seed: of the draws; equal seeds draw alike from equal models.

    Returns:
        Token ids of each continuation.
    """
    generator = torch.Generator().manual_seed(seed)
    texts = [list(prompt) for prompt in prompts]
    rows = torch.arange(len(texts), device=lm.device)
    for _ in range(n_tokens):
        length = max(map(len, texts))
        # Padding stands behind, where a causal model cannot see it.
        ids = torch.tensor([t + [0] * (length - len(t)) for t in texts], device=lm.device)
        last = torch.tensor([len(t) - 1 for t in texts], device=lm.device)
        hidden = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        best = lm.logits(hidden[rows, last]).float().topk(_TOP)
        chosen = torch.multinomial(torch.softmax(best.values, -1).cpu(), 1, generator=generator)
        for text, token in zip(
            texts, best.indices.cpu().gather(1, chosen)[:, 0].tolist(), strict=True
        ):
            text.append(token)
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]


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
