"""What the library must know about a decoder family: names of modules, code only where needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["AttentionCode", "Family"]

AttentionCode = Callable[[Any, Callable[..., Any]], Callable[..., Any]]
"""``code(module, attend)`` returns what replaces a method of the attention module.

``attend(layer, query, key, value, scale, window=None)`` is the attention of `caploc.attribution`;
query is (sample, head, row, width), key and value (sample, key/value head, row, width), and so is
what it returns. Positions must have been applied before.
"""


@dataclass(frozen=True, slots=True)
class Family:
    """Names of the parts of one decoder family.

    Attributes:
        name: name of the file that holds this record.
        architectures: values of ``architectures`` in config.json that belong to the family.
        blocks: path of the list of decoder blocks.
        ffn_out: path, inside a block, of the output projection of the FFN; its *input* is the
            vector of neurons.
        ffn_width: config key of the number of FFN neurons in a layer; a value of None there, or
            no key, means four times the hidden size.
        ffn_in: paths, inside a block, of the first projections of the FFN; row j of each belongs to
            neuron j. The first one is in front of the nonlinearity (the gate, in a gated FFN). One
            matrix may hold several of them, the gate first: rows j, j + n_neurons, ... are j's.
        final_norm: path of the norm before the output head.
        experts: config key of the number of experts, for a mixture of experts with fused weights:
            `ffn_out` is the module that holds them, and a layer has experts times `ffn_width`
            neurons (see `_experts`).
        attention: implementation of transformers to load the family with.
        attention_method: path, inside a block, of a method that computes the attention; empty where
            the family uses the attention interface of transformers.
        attention_code: makes the replacement of `attention_method`.
        needs_mask: whether the model fails without an attention mask, which is built for nothing.
        unused_arguments: arguments that a block demands although rows do without; passed as None.
        logit_scale: config key of a number that the logits behind the head are multiplied by.
        logit_divisor: config key of a number that they are divided by. A config that has not this
            key, nor the one before, means 1.
        logit_softcap: config key of a number c: logits z behind the head become c tanh(z / c).
        attention_out: path, inside a block, of the output projection of attention; its input is
            the concatenation of the heads, its output is what attention adds to the residual.
        attention_in: paths of the query, key and value projection; rows of each belong to its
            heads in order. Empty where they are fused.
        attention_norm: path of the norm in front of attention.
        ffn_norm: path of the norm in front of the FFN; the same as `attention_norm` where a block
            has one norm for both.
    """

    name: str
    architectures: tuple[str, ...]
    blocks: str
    ffn_out: str
    ffn_width: str
    ffn_in: tuple[str, ...]
    final_norm: str
    experts: str = ""
    attention: str = "sdpa"
    attention_method: str = ""
    attention_code: AttentionCode | None = None
    needs_mask: bool = False
    unused_arguments: tuple[str, ...] = ()
    logit_scale: str = ""
    logit_divisor: str = ""
    logit_softcap: str = ""
    attention_out: str = ""
    attention_in: tuple[str, ...] = ()
    attention_norm: str = ""
    ffn_norm: str = ""
