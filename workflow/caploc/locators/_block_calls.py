"""Blocks of the model run again, from some token on, with everything before taken from a recording.

A change at token t of a causal model cannot reach earlier tokens, so one recorded pass over whole
sequences serves all later ones. A block gets the hidden states of the tokens t, t + 1, ... and in
place of the cache of transformers recorded keys and values of the tokens before. Blocks run as
they are, with their own attention: rotary positions, masks (also of sliding windows) and settings
are those that the model itself passed to them while recording.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any, cast
from weakref import WeakSet

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from caploc.forward.hooks import Hooks
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = [
    "Recorded",
    "check_repeated",
    "output_changed",
    "record_rows",
    "rows_of",
    "run_block",
    "tensor_of",
]

# Models whose blocks were seen to give the same when they are run again.
_REPEATED: WeakSet[nn.Module] = WeakSet()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one pass over a few rows of equal length left behind; lists have one entry per layer.

    Attributes:
        inputs: (row, token, width) input of the block.
        outputs: (row, token, width) output of the block.
        attention: (row, token, width) what attention adds.
        ffn: (row, token, width) what the FFN adds.
        keys: (row, key/value head, token, head width), as the block caches them.
        values: as keys.
        calls: named arguments with which the model called the block.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]
    attention: list[Tensor]
    ffn: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]
    calls: list[dict[str, Any]]


def tensor_of(output: Any) -> Tensor:
    """Hidden states of a block, which returns them alone or first of a tuple."""
    return output[0] if isinstance(output, tuple) else output


@torch.no_grad()
def record_rows(lm: LanguageModel, embeddings: Tensor, needed_by: str) -> Recorded:
    """Run the model over rows of token embeddings and keep all states.

    Args:
        lm: the model.
        embeddings: (row, token, width) as the embedding module gives them.
        needed_by: what the recording is for, in the message about a missing name.

    Raises:
        DataError: the family does not name the output projection of attention.
    """
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    attention: list[Tensor] = []
    ffn: list[Tensor] = []
    calls: list[dict[str, Any]] = []

    def before_block(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        named = dict(signature(module.forward).bind(*args, **kwargs).arguments)
        named |= named.pop("kwargs", {})
        inputs.append(named.pop(next(iter(named))))
        calls.append(named)

    # Not built from the config: that would forget keys outside a sliding window.
    cache = DynamicCache()
    with Hooks() as hooks:
        for block in lm.blocks:
            hooks.before(block, before_block, with_kwargs=True)
            hooks.after(block, lambda m, a, out: outputs.append(tensor_of(out)))
        # Copies: some families add the two in place.
        for module in lm.parts("attention_out", needed_by):
            hooks.after(module, lambda m, a, out: attention.append(out.clone()))
        for module in lm.projections:
            hooks.after(module, lambda m, a, out: ffn.append(out.clone()))
        lm.model.base_model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
    shape, cached = embeddings.shape, cast(list[DynamicLayer], cache.layers)
    return Recorded(
        inputs=inputs,
        outputs=outputs,
        attention=[x.view(shape) for x in attention],
        ffn=[x.view(shape) for x in ffn],
        keys=[cast(Tensor, layer.keys) for layer in cached],
        values=[cast(Tensor, layer.values) for layer in cached],
        calls=calls,
    )


def check_repeated(lm: LanguageModel, recorded: Recorded, needed_by: str) -> None:
    """Does every block, run again from the second token on, give what it gave? Once a model.

    Args:
        lm: the model.
        recorded: of at least two tokens.
        needed_by: what runs blocks again, for the message.

    Raises:
        DataError: a block gives something else, or fails.
    """
    if lm.model in _REPEATED:
        return
    for layer, before in enumerate(recorded.outputs):
        try:
            rows = recorded.inputs[layer][:, 1:]
            again = run_block(lm, recorded, layer, rows.expand(2, *rows.shape), 1)
        # A block that is called otherwise than those of the known families may fail in any way.
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = f"it fails ({type(error).__name__}: {' '.join(str(error).split())})"
        else:
            size = before.abs().max().item()
            allowed = (0.001 + 32 * torch.finfo(lm.dtype).eps) * size
            if (again - before[:, 1:]).abs().max().item() <= allowed:
                continue
            reason = "it gives something else"
        raise DataError(
            f"{type(lm.model).__name__}: block {layer} cannot be run again from a token "
            f"on, {reason}; leave {needed_by} out of the run"
        )
    _REPEATED.add(lm.model)


def rows_of(recorded: Recorded, rows: slice) -> Recorded:
    """The same recording with some of its rows; nothing is copied."""
    return Recorded(
        inputs=[x[rows] for x in recorded.inputs],
        outputs=[x[rows] for x in recorded.outputs],
        attention=[x[rows] for x in recorded.attention],
        ffn=[x[rows] for x in recorded.ffn],
        keys=[x[rows] for x in recorded.keys],
        values=[x[rows] for x in recorded.values],
        calls=recorded.calls,
    )


def run_block(
    lm: LanguageModel, recorded: Recorded, layer: int, hidden: Tensor, first: int
) -> Tensor:
    """Output of one block for changed rows that begin at a token.

    Args:
        lm: the model.
        recorded: the pass that the rows share their earlier tokens with.
        layer: index of the block.
        hidden: (stream, row, token from `first` on, width) inputs; every stream has one row for
            each recorded row.
        first: index of the first token of `hidden`.

    Returns:
        As `hidden`.
    """
    n_streams, n_rows, n_tokens, width = hidden.shape
    until = first + n_tokens
    call = dict(recorded.calls[layer])
    for name, value in call.items():
        if isinstance(value, Cache):
            call[name] = _Prefix(
                recorded.keys[layer][:, :, :first], recorded.values[layer][:, :, :first], n_streams
            )
        elif name == "alibi" and value is not None:
            # The same for every row: (row x head, 1, token), or (row, head, 1, token).
            of_row = value[: 1 if value.dim() == 4 else int(lm.config.num_attention_heads)]
            call[name] = of_row.repeat(n_streams * n_rows, *[1] * (value.dim() - 1))
        elif name == "attention_mask":
            call[name] = _rows_of_mask(value, first, until, hidden.device)
        elif name in ("position_ids", "position_embeddings", "cache_position"):
            call[name] = _from_token(value, first, until)
    output = lm.blocks[layer](hidden.reshape(-1, n_tokens, width), **call)
    return tensor_of(output).view(n_streams, n_rows, n_tokens, width)


class _Prefix:
    """Hands a block recorded keys and values in front of its fresh ones, like a cache."""

    def __init__(self, keys: Tensor, values: Tensor, n_streams: int) -> None:
        self._recorded = keys, values
        self._n_streams = n_streams

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Number of tokens that came before."""
        return self._recorded[0].shape[2]

    def update(self, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> list[Tensor]:
        """All keys and all values of (stream x row), recorded tokens first."""
        joined = []
        for before, fresh in zip(self._recorded, (key, value), strict=True):
            before = before.expand(self._n_streams, *before.shape).flatten(0, 1)
            joined.append(torch.cat([before, fresh], dim=2))
        return joined


def _rows_of_mask(mask: Tensor | None, first: int, until: int, device: torch.device) -> Tensor:
    """Rows of the tokens that run again, of the mask the model made; plain causal if it made none.

    A mask is (row, 1, query token, key token), the same for all rows: nothing is padded.
    """
    if mask is None:
        mask = torch.ones(until, until, dtype=torch.bool, device=device).tril()[None, None]
    return mask[:1, :, first:until, :until]


def _from_token(value: Any, first: int, until: int) -> Any:
    """A tensor (row or 1, token, ...), or a tuple of such, cut to the tokens that run again."""
    if isinstance(value, tuple):
        return tuple(_from_token(v, first, until) for v in value)
    if not isinstance(value, Tensor):
        return value
    return value[first:until] if value.dim() == 1 else value[:1, first:until]


@contextmanager
def output_changed(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Pass the output of a module through a function; undone on exit."""
    with module.register_forward_hook(lambda m, args, output: change(output)):
        yield
