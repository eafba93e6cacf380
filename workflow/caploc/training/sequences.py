"""Training texts as token ids: beginning, prompt, answer, end."""

from collections.abc import Sequence
from typing import Any

from caploc.records import DataError
from caploc.training.corpus import Text

__all__ = ["encode_texts"]


def encode_texts(
    texts: Sequence[Text], tokenizer: Any, context: int
) -> list[tuple[list[int], int]]:
    """Token ids of each text and the first position whose id is learned, as `pack` wants them.

    Args:
        texts: of a batch.
        tokenizer: of the model.
        context: most tokens of a sequence.

    Raises:
        DataError: a text has more tokens than the context.
    """
    prompts = tokenizer([t.prompt for t in texts])["input_ids"]
    answers = tokenizer([t.answer for t in texts], add_special_tokens=False)["input_ids"]
    sequences = []
    for text, prompt, answer in zip(texts, prompts, answers, strict=True):
        ids = [*prompt, *answer, tokenizer.eos_token_id]
        if len(ids) > context:
            raise DataError(
                f"task {text.task!r}: a training sequence has {len(ids)} tokens, the model's "
                f"context is {context}; raise models.<id>.architecture.context: {text.prompt!r}"
            )
        sequences.append((ids, 1 if text.learns_prompt else len(prompt)))
    return sequences
