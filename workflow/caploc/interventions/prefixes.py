"""A fact behind random texts: what is found for it should not hang on what stands in front.

Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", section 3.1. Different
here: texts are put in front of the prompt as token ids.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from caploc.forward.generation import continue_text
from caploc.forward.subject import Tokens
from caploc.models.language_model import LanguageModel

__all__ = ["sample_prefixes", "with_prefix"]


def sample_prefixes(
    lm: LanguageModel, lengths: Sequence[tuple[int, int]], seed: int
) -> list[list[int]]:
    """Random texts of the model itself, beginning after its first special token.

    Args:
        lm: the model, with its tokenizer.
        lengths: (number of texts, their length in tokens).
        seed: of the draws; the same at fixed threads.

    Returns:
        Token ids of each text without special tokens in front; the empty text comes first.
    """
    generator = torch.Generator().manual_seed(seed)
    start = lm.tokenizer.bos_token_id
    start = lm.tokenizer.eos_token_id if start is None else start
    found: list[list[int]] = [[]]
    for n, length in lengths:
        # A text that ends would put the fact behind an end.
        found += continue_text(
            lm, [[start or 0]] * n, length, generator, lm.tokenizer.all_special_ids
        )
    return found


def with_prefix(lm: LanguageModel, tokens: Tokens, prefix: Sequence[int]) -> Tokens:
    """The fact with a text in front, behind the tokenizer's own special tokens."""
    special = set(lm.tokenizer.all_special_ids)
    n = 0
    while n < tokens.first and tokens.prompt[n] in special:
        n += 1
    prompt = [*tokens.prompt[:n], *prefix, *tokens.prompt[n:]]
    return replace(
        tokens, prompt=prompt, first=tokens.first + len(prefix), last=tokens.last + len(prefix)
    )
