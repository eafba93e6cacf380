"""Size of a decoder, and what its passes cost. A multiplication and an addition are two operations.

Products with weights only (attention adds 2 to 7 % at lengths of a few hundred tokens):

    P = weights of one block in matrix products    H = hidden * vocabulary    F = hidden * ffn
    forward, per token        2 L P, + 2 H where logits are wanted
    attribution, per sample   Y [4 P (n L (L-1)/2 + (L-1)) + 4 H (n L + 1) + 4 L F]
                              + 2 (T + Y - 1) L P to record

for T prompt and Y answer tokens and n path points below 1; all layers share the point at 1, where
the rule has it (L - 1 and 1 above). The rule `adaptive` has more points in layer 0 than above it.
`benchmarks/attribution.py` compares them with a count.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["UNGATED", "DecoderShape"]

UNGATED = (
    "apertus", "biogpt", "bloom", "codegen", "falcon", "gpt2", "gpt_neo", "gpt_neox",
    "gpt_neox_japanese", "gptj", "mpt", "nanochat", "nemotron", "opt", "persimmon", "phi",
    "starcoder2", "xglm",
)  # fmt: skip
"""Families whose FFN has one first projection; the others have a gate beside it."""


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes of a decoder, as the key `shape` of a model."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool = False
    gated: bool = True

    @classmethod
    def of(cls, entry: dict[str, Any], vocabulary: int) -> "DecoderShape | None":
        """Shape of a model of a checked configuration; None where it does not say.

        Args:
            entry: of the catalogue `models`.
            vocabulary: of a model that the workflow trains.
        """
        gated = entry["family"] not in UNGATED
        if "shape" in entry:
            return cls(**entry["shape"], gated=gated)
        if "architecture" in entry:
            sizes = {k: v for k, v in entry["architecture"].items() if k != "context"}
            return cls(**sizes, vocabulary=vocabulary, gated=gated)
        return None

    @property
    def block(self) -> float:
        """P."""
        attention = self.hidden**2 * (2 + 2 * self.kv_heads / self.heads)
        return attention + self.ffn_values / self.layers

    @property
    def head(self) -> float:
        """H."""
        return float(self.hidden * self.vocabulary)

    @property
    def ffn_values(self) -> float:
        """Weights of the FFNs of all layers."""
        return float((3 if self.gated else 2) * self.hidden * self.ffn * self.layers)

    @property
    def neurons(self) -> int:
        """FFN neurons of all layers."""
        return self.layers * self.ffn

    @property
    def parameters(self) -> float:
        """Weights of the model; norms and biases are left out."""
        return self.layers * self.block + self.head * (1 if self.tied else 2)

    def forward(self, tokens: float, logits: float = 0.0) -> float:
        """Operations of reading so many tokens, with logits at some of them."""
        return 2 * (tokens * self.layers * self.block + logits * self.head)

    def attribution(
        self, prompt: float, answer: float, scored: float, below: tuple[float, float], one: bool
    ) -> float:
        """Operations of scoring all neurons for one sample.

        Args:
            prompt: tokens.
            answer: tokens.
            scored: answer tokens that are scored.
            below: path points below 1, of layer 0 and of each layer above it.
            one: whether the rule has the point 1.
        """
        first, above = below
        higher = self.layers - 1
        behind = (first + one) * higher + above * higher * (higher - 1) / 2
        rows = first + above * higher + one
        per_token = 4 * self.block * behind + 4 * self.head * rows
        per_token += 4 * self.layers * self.hidden * self.ffn
        return scored * per_token + self.forward(prompt + answer - 1)
