"""What the library must know about a decoder family: names of modules, nothing executable."""

from dataclasses import dataclass

__all__ = ["Family"]


@dataclass(frozen=True, slots=True)
class Family:
    """Names of the parts of one decoder family.

    Attributes:
        name: name of the file that holds this record.
        architectures: values of ``architectures`` in config.json that belong to the family.
        blocks: path of the list of decoder blocks.
        ffn_out: path, inside a block, of the output projection of the FFN; its *input* is the
            vector of neurons.
        ffn_width: config key of the number of FFN neurons in a layer; a value of None there means
            four times the hidden size.
        ffn_in: paths, inside a block, of the first projections of the FFN; row j of each belongs to
            neuron j. The first one is in front of the nonlinearity (the gate, in a gated FFN).
        final_norm: path of the norm before the output head.
        attention: implementation of transformers to load the family with.
        attention_method: path, inside a block, of a method ``(query, key, value, mask)`` that
            computes the attention; empty where the family uses the attention interface of
            transformers.
    """

    name: str
    architectures: tuple[str, ...]
    blocks: str
    ffn_out: str
    ffn_width: str
    ffn_in: tuple[str, ...]
    final_norm: str
    attention: str = "sdpa"
    attention_method: str = ""
