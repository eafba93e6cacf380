"""Floating-point operations of the four forms; a multiplication and an addition are two.

Products with weights only, by formula (attention adds 2 to 7 % to every form at these shapes):

    P = weights of one block in matrix products    H = hidden * vocabulary    F = hidden * ffn
    naive, per (m, l)   N (T + m) [2 L P + 2 (L-1-l) P + 2 F + 4 H]   N = path points
    last logits         4 H / (T + m) in place of 4 H
    cached, per (m, l)  N [2 L P + 2 (L-1-l) P + 2 F + 4 H]
    ours, per sample    Y [4 P (n L (L-1)/2 + (L-1)) + 4 H (n L + 1)]   n = N less the point at 1,
                        which all layers share; + 2 (T + Y - 1) L P to record, + per token and
                        layer 4 F for what the neurons write and for the way back

`Counter` counts what torch really does; tests compare the two.
"""

from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from caploc.estimate.shape import DecoderShape

__all__ = ["Counter", "Shape"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a gated-FFN decoder and of a sample: T prompt and Y answer tokens, N path points."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocabulary: int
    prompt: int
    answer: int
    points: int
    shares_one: bool = True
    gated: bool = True

    @property
    def decoder(self) -> DecoderShape:
        return DecoderShape(
            self.layers, self.hidden, self.ffn, self.heads, self.kv_heads, self.vocabulary,
            gated=self.gated,
        )  # fmt: skip

    @property
    def block(self) -> float:
        return self.decoder.block

    @property
    def head(self) -> float:
        return self.decoder.head

    def naive(self, m: int, layer: int, *, last_only: bool) -> float:
        length = self.prompt + m
        blocks = 2 * self.layers + 2 * (self.layers - 1 - layer)
        per_token = blocks * self.block + 2 * self.hidden * self.ffn
        per_token += 4 * self.head / (length if last_only else 1)
        return self.points * length * per_token

    def cached(self, layer: int) -> float:
        blocks = 2 * self.layers + 2 * (self.layers - 1 - layer)
        return self.points * (blocks * self.block + 2 * self.hidden * self.ffn + 4 * self.head)

    def totals(self) -> dict[str, float]:
        """Of the whole grid of (token, layer)."""
        pairs = [(m, layer) for m in range(self.answer) for layer in range(self.layers)]
        read = 2 * (self.prompt + self.answer - 1) * self.layers * self.block
        below = self.points - int(self.shares_one)
        return {
            "naive, full logits": sum(self.naive(*pair, last_only=False) for pair in pairs),
            "naive, last logits": sum(self.naive(*pair, last_only=True) for pair in pairs),
            "cached": read + sum(self.cached(layer) for _, layer in pairs),
            "ours": self.decoder.attribution(
                self.prompt, self.answer, self.answer, (below, below), self.shares_one
            ),
        }  # fmt: skip

    def attention_of_ours(self) -> float:
        """Products of rows with recorded keys and values, two forward and two back."""
        n = self.points - int(self.shares_one)
        rows = n * self.layers * (self.layers - 1) / 2
        if self.shares_one:
            rows += self.layers - 1
        length = self.prompt + self.answer - 2
        return 8 * self.hidden * length * rows * self.answer


class Counter(TorchDispatchMode):
    """Counts operations of matrix products, forward and backward.

    `FlopCounterMode` hooks modules as well, which `autograd.grad` towards a module's input forbids.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out
