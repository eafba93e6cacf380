"""Texts as token ids, one way for all: what a tokenizer stores or appends changes nothing here."""

from typing import Any

from caploc.records import Dropped

__all__ = ["encode", "encode_text"]


def encode_text(
    tokenizer: Any, text: str, *, special: bool = True
) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids of a text and the characters that each stands for.

    Padding and truncation that a tokenizer stores do not act. Special tokens that it puts in front
    (beginning of text) stay; those it appends (end of text) are left out, because text goes on.

    Args:
        tokenizer: fast tokenizer.
        text: any text.
        special: False leaves out the special tokens in front as well.

    Returns:
        Ids, and (first, end) character of each; equal numbers for a token without text.
    """
    encoded = tokenizer(
        text,
        add_special_tokens=special,
        padding=False,
        truncation=False,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        verbose=False,  # too long is told elsewhere
    )
    ids, spans = list(encoded["input_ids"]), encoded["offset_mapping"]
    end = len(ids)
    # A special token that was added has no text of its own; one written in the text has.
    while (
        end and encoded["special_tokens_mask"][end - 1] and spans[end - 1][0] == spans[end - 1][1]
    ):
        end -= 1
    return ids[:end], spans[:end]


def encode(
    tokenizer: Any,
    prompt: str,
    answer: str,
    *,
    context: int | None = None,
    vocabulary: int | None = None,
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
        vocabulary: tokens that the model has an embedding for; None: as many as the tokenizer.

    Returns:
        Ids of the prompt and ids of the answer, neither empty.

    Raises:
        Dropped: no answer tokens, an empty prompt, too long, or a token that the model has not.
    """
    ids, spans = encode_text(tokenizer, prompt + answer)
    end = len(ids)
    first = next((i for i in range(end) if spans[i][1] > len(prompt)), end)
    if first == end:
        raise Dropped("no answer tokens")
    if first == 0:
        raise Dropped("empty prompt")
    limit = context if context is not None else int(tokenizer.model_max_length)
    if end > limit:
        raise Dropped(f"does not fit the context of {limit} tokens")
    if vocabulary is not None and max(ids) >= vocabulary:
        raise Dropped(f"token {max(ids)} is none of the {vocabulary} that the model has")
    return ids[:first], ids[first:]
