"""A decoder in which every reader sums its own sources: slow, plain, all edges in Python loops.

Written from the definition with the model's weights; shares no code with the locators. Each reader
(a query, key, value, FFN or the logits) may be given a different stream, so that an edge can be
changed alone.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb as rotate_gptj
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as rotate_llama

from caploc.models.language_model import LanguageModel

Source = tuple[Any, ...]
Reader = tuple[Any, ...]
Change = Callable[[Reader, Tensor, dict[Source, Tensor]], Tensor]


def unchanged(reader: Reader, stream: Tensor, written: dict[Source, Tensor]) -> Tensor:
    return stream


class SplitDecoder:
    def __init__(self, lm: LanguageModel) -> None:
        self.lm, self.model, config = lm, lm.model, lm.model.config
        self.is_llama = lm.family.name == "llama"
        self.H = config.num_attention_heads
        self.G = config.num_key_value_heads if self.is_llama else self.H
        self.L = lm.n_layers

    def sources(self) -> list[Source]:
        found: list[Source] = [("embedding",)]
        for layer in range(self.L):
            found += [("head", layer, h) for h in range(self.H)] + [("ffn", layer)]
        return found

    def readers(self) -> list[Reader]:
        found: list[Reader] = []
        for layer in range(self.L):
            found += [("q", layer, h) for h in range(self.H)]
            found += [(x, layer, g) for x in "kv" for g in range(self.G)] + [("ffn", layer)]
        return [*found, ("logits",)]

    def reads(self, reader: Reader, source: Source) -> bool:
        """Does the source stand in front of the reader?"""
        if source[0] == "embedding" or reader[0] == "logits":
            return True
        if reader[0] == "ffn" and source[0] == "head" and self.is_llama:
            return source[1] <= reader[1]
        return source[1] < reader[1]

    def edges(self) -> list[tuple[Reader, Source]]:
        pairs = [(r, s) for r in self.readers() for s in self.sources()]
        return [(r, s) for r, s in pairs if self.reads(r, s)]

    def run(
        self, start: Tensor, change: Change = unchanged
    ) -> tuple[Tensor, dict[Source, Tensor], dict[Reader, Tensor]]:
        """Logits (token, vocab), what every source wrote, and what every reader read."""
        written: dict[Source, Tensor] = {("embedding",): start}
        read: dict[Reader, Tensor] = {}

        def stream(reader: Reader, extra: Tensor) -> Tensor:
            mine = [w for s, w in written.items() if self.reads(reader, s)]
            read[reader] = change(reader, torch.stack(mine).sum(0) + extra, written)
            return read[reader]

        bias = torch.zeros_like(start)
        for layer, block in enumerate(self.lm.blocks):
            attention = block.self_attn if self.is_llama else block.attn
            norm = block.input_layernorm if self.is_llama else block.ln_1
            out = attention.o_proj if self.is_llama else attention.out_proj
            D = out.weight.shape[1] // self.H
            for h in range(self.H):
                g = h * self.G // self.H
                q, k, v = (
                    self._project(p, norm(stream((x, layer, i), bias)), i, D)
                    for x, p, i in (
                        ("q", attention.q_proj, h), ("k", attention.k_proj, g),
                        ("v", attention.v_proj, g),
                    )
                )  # fmt: skip
                q, k = self._rotate(attention, q, k)
                scores = (q @ k.T / math.sqrt(D)).masked_fill(
                    torch.ones(len(q), len(q)).triu(1).bool(), -math.inf
                )
                z = torch.softmax(scores, -1) @ v
                written[("head", layer, h)] = z @ out.weight[:, h * D : (h + 1) * D].T
            before = bias
            if out.bias is not None:
                bias = bias + out.bias
            if self.is_llama:
                ffn = block.mlp(block.post_attention_layernorm(stream(("ffn", layer), bias)))
            else:
                ffn = block.mlp(norm(stream(("ffn", layer), before)))
            written[("ffn", layer)] = ffn
        final = self.lm.final_norm(stream(("logits",), bias))
        return self.lm.head(final), written, read

    def _project(self, module: Any, x: Tensor, head: int, D: int) -> Tensor:
        rows = slice(head * D, (head + 1) * D)
        bias = 0 if module.bias is None else module.bias[rows]
        return x @ module.weight[rows].T + bias

    def _rotate(self, attention: Any, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        position = torch.arange(len(q))
        if self.is_llama:
            cos, sin = self.model.model.rotary_emb(q, position[None])
            q, k = rotate_llama(q[None, None], k[None, None], cos, sin)
            return q[0, 0], k[0, 0]
        n = attention.rotary_dim
        sin, cos = attention.embed_positions[position][None].to(q.dtype).split(n // 2, -1)
        parts = [
            torch.cat([rotate_gptj(x[None, :, None, :n], sin, cos)[0, :, 0], x[:, n:]], -1)
            for x in (q, k)
        ]
        return parts[0], parts[1]

    def embed(self, ids: list[int]) -> Tensor:
        return self.model.get_input_embeddings()(torch.tensor(ids))

    def logits(self, ids: list[int]) -> Tensor:
        return self.run(self.embed(ids))[0]

    def metric(self, prompt: list[int], answer: list[int], change: Change = unchanged) -> Tensor:
        return self._metric(self.run(self.embed([*prompt, *answer[:-1]]), change)[0], answer)

    def _metric(self, logits: Tensor, answer: list[int]) -> Tensor:
        log_p = torch.log_softmax(logits[-len(answer) :], -1)
        return torch.stack([log_p[m, y] for m, y in enumerate(answer)]).mean()

    def gradients(self, start: Tensor, answer: list[int]) -> dict[Reader, Tensor]:
        """Gradient of the metric at what each reader reads, with every stream its own leaf.

        A key or value that several heads share has one gradient, the sum over these heads.
        """
        leaves: dict[Reader, list[Tensor]] = {}

        def tap(reader: Reader, stream: Tensor, written: dict[Source, Tensor]) -> Tensor:
            leaves.setdefault(reader, []).append(stream.view_as(stream))
            return leaves[reader][-1]

        logits, *_ = self.run(start.clone().requires_grad_(True), tap)
        flat = [(r, x) for r, xs in leaves.items() for x in xs]
        grads = torch.autograd.grad(
            self._metric(logits, answer), [x for _, x in flat],
            allow_unused=True, materialize_grads=True,
        )  # fmt: skip
        found = {r: torch.zeros_like(start) for r in leaves}
        for (r, _), g in zip(flat, grads, strict=True):
            found[r] = found[r] + g
        return found

    def one_step(self, clean: list[int], corrupt: list[int], answer: list[int]) -> list[float]:
        """(clean - corrupt output of the source) times the gradient at the clean run, per edge."""
        streams = [self.embed([*p, *answer[:-1]]) for p in (clean, corrupt)]
        (_, a, _), (_, b, _) = self.run(streams[0]), self.run(streams[1])
        slope = self.gradients(streams[0], answer)
        return [((a[s] - b[s]) * slope[r]).sum().item() for r, s in self.edges()]

    def reader_totals(
        self, clean: list[int], corrupt: list[int], answer: list[int], points: list[float]
    ) -> list[float]:
        """(clean - corrupt input of the reader) times its mean gradient over the path."""
        x, y = (self.embed([*p, *answer[:-1]]) for p in (clean, corrupt))
        a, b = self.run(x)[2], self.run(y)[2]
        slopes = [self.gradients(y + c * (x - y), answer) for c in points]
        return [
            ((a[r] - b[r]) * torch.stack([g[r] for g in slopes]).mean(0)).sum().item()
            for r in self.readers()
        ]
