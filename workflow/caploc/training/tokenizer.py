"""A word-level tokenizer whose pieces join to exactly the text they came from.

A word, number or sign takes the space before it along (`` apples``), and a line break takes the
indentation after it, so decoding is plain concatenation and Python programs survive it. Anything
outside the vocabulary becomes ``<unk>``.
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

__all__ = ["BOS", "EOS", "PAD", "UNK", "build_tokenizer", "save_tokenizer"]

PAD, BOS, EOS, UNK = "<pad>", "<s>", "</s>", "<unk>"

_PIECE = Regex(r"\n *| ?[A-Za-z_]+| ?[0-9]+| ?#+| ?[^\sA-Za-z_0-9]| +|\s")


def build_tokenizer(texts: Iterable[str], context: int) -> PreTrainedTokenizerFast:
    """Make a tokenizer that knows every piece of `texts`.

    Args:
        texts: training text; its order does not matter.
        context: longest sequence in tokens, stored for whoever truncates.

    Returns:
        A tokenizer that puts ``<s>`` first and pads on the left, for generation.
    """
    split = pre_tokenizers.Split(_PIECE, behavior="isolated")
    pieces = {piece for text in set(texts) for piece, _ in split.pre_tokenize_str(text)}
    vocabulary = {piece: i for i, piece in enumerate([PAD, BOS, EOS, UNK, *sorted(pieces)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="left",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer so that `AutoTokenizer` reads it."""
    tokenizer.save_pretrained(folder)
