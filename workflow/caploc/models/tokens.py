"""Prompt and answer as token ids, split where the answer begins."""

from typing import Any

from caploc.records import Dropped

__all__ = ["encode"]


def encode(
    tokenizer: Any, prompt: str, answer: str, *, context: int | None = None
) -> tuple[list[int], list[int]]:
    """Tokenise prompt and answer as one text and cut it at the first token of the answer.

    The text is tokenised whole, because that is how the model has seen text: a token that straddles
    the border belongs to the answer. Special tokens that the tokenizer puts in front (beginning of
    text) stay with the prompt; those it puts at the end are left out.

    Args:
        tokenizer: fast tokenizer.
        prompt: text before the answer.
        answer: gold answer.
        context: longest sequence the model reads, in tokens; None means what the tokenizer says.

    Returns:
        Ids of the prompt and ids of the answer, neither empty.

    Raises:
        Dropped: no answer tokens, an empty prompt, or too long.
    """
    encoded = tokenizer(
        prompt + answer,
        add_special_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        verbose=False,  # too long is told below
    )
    ids, spans = list(encoded["input_ids"]), encoded["offset_mapping"]
    end = len(ids)
    # A special token that was added has no text of its own; one written in the text has.
    while end and encoded["special_tokens_mask"][end - 1] and not _length(spans[end - 1]):
        end -= 1
    first = next((i for i in range(end) if spans[i][1] > len(prompt)), end)
    if first == end:
        raise Dropped("no answer tokens")
    if first == 0:
        raise Dropped("empty prompt")
    limit = context if context is not None else int(tokenizer.model_max_length)
    if end > limit:
        raise Dropped(f"does not fit the context of {limit} tokens")
    return ids[:first], ids[first:end]


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]
