"""What the answer is worth (M of `_edge_scores`), and its gradients where readers read.

Gradients are read off one backward pass at the projections: all points of a path are its rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from caploc.forward.batch import gold
from caploc.forward.hooks import Hooks
from caploc.locators._nodes import Parts, first_argument, parts_of
from caploc.models.language_model import LanguageModel

__all__ = ["Slopes", "measure", "slopes_of"]


def measure(
    lm: LanguageModel, before_norm: Tensor, answer: list[int], contrast: int | None = None
) -> Tensor:
    """M of each row; the answer tokens are predicted at the last positions.

    Args:
        lm: the model.
        before_norm: (row, token, width) residual stream behind the last block.
        answer: token ids; the last of them is not among the tokens.
        contrast: see `score_edges`.

    Returns:
        (row,) nats (or logits), in float32 or wider.
    """
    z = lm.logits(lm.final_norm(before_norm[:, -len(answer) :]))
    if contrast is not None:
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        return z[:, 0, answer[0]] - z[:, 0, contrast]
    return gold(z, torch.tensor(answer, device=lm.device).expand(len(z), -1)).mean(1)


@dataclass(frozen=True, slots=True)
class Slopes:
    """Weighted gradients of the rows of one pass; lists have one entry per layer.

    Attributes:
        heads: query, key and value: (row, token, head x head width) at the projection's output.
        before_attention: (row, token, width) input of the norm.
        ffn: (row, token, width) at the FFN's input, behind the norm.
        before_ffn: (row, token, width) input of the norm.
        logits: (row, token, width) at the input of the last norm.
    """

    heads: list[tuple[Tensor, Tensor, Tensor]]
    before_attention: list[Tensor]
    ffn: list[Tensor]
    before_ffn: list[Tensor]
    logits: Tensor


def slopes_of(
    lm: LanguageModel,
    ids: Tensor,
    stream: Tensor,
    weights: Tensor,
    answer: list[int],
    contrast: int | None,
) -> Slopes:
    """One forward and backward pass from given inputs of the first block."""
    parts = parts_of(lm)
    taps = _Taps()
    leaf = stream.detach().requires_grad_(True)
    with torch.enable_grad(), _tapped(lm, parts, leaf, taps):
        lm.model.base_model(input_ids=ids.expand(len(leaf), -1), use_cache=False)
        total = (measure(lm, taps.before_head[0], answer, contrast) * weights).sum()
    n_in = len(lm.family.ffn_in)
    wanted = [*taps.heads, *taps.ffn, taps.before_head[0]]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    heads, ffn = gradients[: 3 * lm.n_layers], gradients[3 * lm.n_layers : -1]
    return Slopes(
        heads=[(heads[3 * i], heads[3 * i + 1], heads[3 * i + 2]) for i in range(lm.n_layers)],
        before_attention=[x.detach() for x in taps.before_attention],
        ffn=[
            torch.stack(ffn[n_in * i : n_in * (i + 1)]).sum(0).view(leaf.shape)
            for i in range(lm.n_layers)
        ],
        # Some families take the FFN's rows out of their sequences.
        before_ffn=[x.detach().view(leaf.shape) for x in taps.before_ffn or taps.before_attention],
        logits=gradients[-1],
    )


class _Taps:
    """Tensors of one pass that gradients are asked for, and inputs of norms."""

    def __init__(self) -> None:
        self.heads: list[Tensor] = []
        self.ffn: list[Tensor] = []
        self.before_attention: list[Tensor] = []
        self.before_ffn: list[Tensor] = []
        self.before_head: list[Tensor] = []


@contextmanager
def _tapped(lm: LanguageModel, parts: Parts, leaf: Tensor, taps: _Taps) -> Iterator[None]:
    """Let the first block read `leaf`, and collect the tensors that edges end at."""

    def before(module: nn.Module, kept: list[Tensor]) -> None:
        hooks.before(module, lambda m, args: kept.append(args[0]))

    def of_ffn_input(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # A tensor of its own: the gradient that comes through this module and no other.
        taps.ffn.append(args[0].view_as(args[0]))
        return (taps.ffn[-1], *args[1:])

    with Hooks() as hooks:
        hooks.before(
            lm.blocks[0],
            lambda m, args, kwargs: first_argument(args, kwargs, leaf),
            with_kwargs=True,
        )
        for layer in range(lm.n_layers):
            before(parts.attention_norm[layer], taps.before_attention)
            if parts.ffn_norm[layer] is not parts.attention_norm[layer]:
                before(parts.ffn_norm[layer], taps.before_ffn)
            for module in parts.attention_in[layer]:
                hooks.after(module, lambda m, a, out: taps.heads.append(out))
            for module in parts.ffn_in[layer]:
                hooks.before(module, of_ffn_input)
        before(lm.final_norm, taps.before_head)
        yield
