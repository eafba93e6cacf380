"""Text of a model, many prompts at once: greedy answers, and random continuations."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from transformers import GenerationConfig

from caploc.forward.batch import is_full, padded
from caploc.forward.silencing import Erasures, erased
from caploc.models.chat import end_tokens
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode_text

__all__ = ["Completion", "complete", "continue_text", "first_answer"]

Completion = str

_TOP = 5
"""Random text is drawn from the most probable tokens, as in the public code of ROME."""
_SLACK_SHARE, _SLACK_TOKENS = 1.5, 8
"""A completion may have this many times the tokens of the gold answer, and a few more."""


@torch.no_grad()
def complete(
    model: LanguageModel,
    prompts: Sequence[str],
    answers: Sequence[str],
    batch: int,
    erasures: Erasures | None = None,
    which: Sequence[int] | None = None,
) -> Iterator[tuple[int, Completion]]:
    """Complete prompts greedily.

    Prompts of similar length go together, so little is padding; the completion of a prompt does
    not depend on its neighbours, up to rounding.

    Args:
        model: model with its tokenizer.
        prompts: texts to complete; each leaves room for at least one more token.
        answers: gold answers; only their lengths are used, as a limit.
        batch: prompts at once; fewer where they are long.
        erasures: what may be silenced meanwhile; None leaves the model as it is. An erasure at
            answering positions acts at the last token of the prompt and behind it.
        which: for each prompt, the index of its erasure; needed with `erasures`.

    Yields:
        (index of the prompt, completion), shortest prompts first. The completion ends where the
        model ends, at the limit, or as `first_answer` says.

    Raises:
        ValueError: unequal numbers of prompts, answers and erasures, or a batch below 1.
    """
    if len(prompts) != len(answers) or batch < 1:
        raise ValueError(
            f"{len(prompts)} prompts, {len(answers)} answers, batch {batch}: expected equal "
            "numbers and a batch of at least 1"
        )
    if erasures is not None and (which is None or len(which) != len(prompts)):
        raise ValueError(f"{len(prompts)} prompts need as many indices of erasures, found {which}")
    tokenizer = model.tokenizer
    ids = [encode_text(tokenizer, prompt)[0] for prompt in prompts]
    limits = [
        _limit(len(encode_text(tokenizer, answer, special=False)[0]), model.context - len(prompt))
        for answer, prompt in zip(answers, ids, strict=True)
    ]
    # Some families mask in float32, where the least float64 is minus infinity: padding becomes NaN.
    padding = model.dtype != torch.float64
    for chosen in _batches(ids, limits, batch, model.context, padding):
        limit = max(limits[i] for i in chosen)
        acting: AbstractContextManager[None] = nullcontext()
        if erasures is not None and which is not None:
            rows = torch.tensor([which[i] for i in chosen], device=model.device)
            acting = erased(model, erasures, rows)
        with acting:
            new = _generate(model, [ids[i] for i in chosen], limit)
        for i, tokens in zip(chosen, new, strict=True):
            # A neighbour with a longer answer gives nobody more room.
            tokens = tokens[: limits[i]]
            # Decoding the prompt with it keeps the space that some tokenizers attach to words.
            whole = tokenizer.decode(ids[i] + tokens, skip_special_tokens=True)
            told = tokenizer.decode(ids[i], skip_special_tokens=True)
            yield i, first_answer(whole[len(told) :], answers[i])


def _limit(n_gold: int, room: int) -> int:
    """Most tokens of a completion."""
    return max(0, min(int(n_gold * _SLACK_SHARE) + _SLACK_TOKENS, room))


def _batches(
    ids: Sequence[Sequence[int]], limits: Sequence[int], most: int, context: int, padding: bool
) -> Iterator[list[int]]:
    """Prompts of similar length that fit the context together, each with its own room.

    Without `padding`, of equal length.
    """
    chosen: list[int] = []
    for i in sorted(range(len(ids)), key=lambda i: (len(ids[i]), i)):
        room = max(limits[j] for j in [*chosen, i])
        longer = bool(chosen) and len(ids[i]) > len(ids[chosen[0]])
        width = len(ids[i]) + room
        full = is_full(len(chosen) + 1, width, most) or width > context
        if chosen and (full or (longer and not padding)):
            yield chosen
            chosen = []
        chosen.append(i)
    if chosen:
        yield chosen


def first_answer(completion: str, answer: str) -> Completion:
    """Cut off what a model that does not stop goes on to say.

    A blank line ends an answer unless the gold answer has one, and so does the end of its first
    line with text if the gold answer is a single line.
    """
    lead = len(completion) - len(completion.lstrip())
    if "\n\n" not in answer.strip():
        end = completion.find("\n\n", lead)
        completion = completion if end < 0 else completion[:end]
    if "\n" not in answer.strip():
        end = completion.find("\n", lead)
        completion = completion if end < 0 else completion[:end]
    return completion


@torch.no_grad()
def continue_text(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    n_tokens: int,
    generator: torch.Generator,
    without: Collection[int] = (),
) -> list[list[int]]:
    """Continue prompts at random, each token among the five most probable ones.

    Args:
        lm: the model.
        prompts: token ids, at least one each.
        n_tokens: length of every continuation; it goes on behind an end of text.
        generator: of the draws; equal ones draw alike from equal models.
        without: token ids that are never drawn.

    Returns:
        Token ids of each continuation.
    """
    texts = [list(prompt) for prompt in prompts]
    rows = torch.arange(len(texts), device=lm.device)
    for _ in range(n_tokens):
        last = torch.tensor([len(text) - 1 for text in texts], device=lm.device)
        ids = padded(texts, lm.device)
        hidden = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        z = lm.logits(hidden[rows, last]).float()
        z[:, list(without)] = -torch.inf
        best = z.topk(_TOP)
        chosen = torch.multinomial(torch.softmax(best.values, -1).cpu(), 1, generator=generator)
        for text, token in zip(texts, best.indices.cpu().gather(1, chosen).tolist(), strict=True):
            text += token
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]


def _generate(model: LanguageModel, prompts: list[list[int]], limit: int) -> list[list[int]]:
    """New token ids of each prompt, without padding and end-of-text."""
    width = max(len(p) for p in prompts)
    if limit < 1:
        return [[] for _ in prompts]
    inner, tokenizer = model.model, model.tokenizer
    ends = inner.generation_config.eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    ends = [*ends, *end_tokens(tokenizer)]
    # Any token will do: padding is masked, and the tokenizer's own may have no embedding.
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    # What a model's own generation_config.json wants (penalties, suppressed tokens, ...) is not
    # greedy: only its end tokens are taken over.
    clean = GenerationConfig(
        max_new_tokens=limit, do_sample=False, num_beams=1, eos_token_id=ends or None,
        pad_token_id=0,
    )  # fmt: skip
    own, inner.generation_config = inner.generation_config, clean
    try:
        found = inner.generate(input_ids=ids.to(model.device), attention_mask=mask.to(model.device))
    finally:
        inner.generation_config = own
    return [_until(row, ends) for row in found[:, width:].tolist()]


def _until(tokens: list[int], ends: list[int]) -> list[int]:
    stop = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[:stop]
