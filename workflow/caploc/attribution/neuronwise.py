"""Scores with every neuron scaled alone, as the formula is printed: a reference, not a fast way.

    score[l, j] = 1/Y sum_m w[l, j] sum_n a_n dP(y_m | z_m; w[l, j] := c_n w[l, j]) / dw[l, j]

Nothing is shared between neurons but the recorded prefix, so the cost is that of the engine times
the number of neurons in a layer: all neurons of toy models, a few hundred located ones otherwise.
A neuron's score is the integral of its own effect, so it equals P(all) - P(without it) for a rule
that integrates exactly; scores of a layer do not add up to anything.

The row of a changed neuron runs through its own block as well (generic injection), which is right
for every family and both sites.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.attribution.head import answer_probability
from caploc.attribution.injection import SITES
from caploc.attribution.model_check import check_model
from caploc.attribution.prefix_attention import PrefixAttention, use_prefix_attention
from caploc.attribution.public import read_sample, untouched
from caploc.attribution.recording import Recording, Sequence, record, slot_columns
from caploc.attribution.rules import PathRule, path_rule
from caploc.attribution.streams import rows_with_neurons
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["NeuronAttribution", "attribute_neurons"]


@dataclass(frozen=True, slots=True)
class NeuronAttribution:
    """Scores of single neurons for one sample.

    Attributes:
        neurons: (n, 2) layer and neuron.
        scores: (n,) contribution to the probability, mean over the answer tokens.
        probability: (token,) P(y_m | z_m) of the unchanged model.
        probability_zeroed: (n, token) the same with the one neuron at 0.
        gap: (n, token) |score_m - (P(1) - P(0))|, in probability.
    """

    neurons: NDArray[np.int64]
    scores: NDArray[np.float64]
    probability: NDArray[np.float64]
    probability_zeroed: NDArray[np.float64]
    gap: NDArray[np.float64]


def attribute_neurons(
    model: Any,
    prompt_ids: Any,
    answer_ids: Any,
    neurons: Iterable[tuple[int, int]] | None = None,
    *,
    rule: str = "inclusive",
    steps: int = 19,
    site: str = "post",
    batch_rows: int = 4096,
) -> NeuronAttribution:
    """Score chosen neurons of one sample, each scaled alone.

    Args:
        model: as for `attribute`; left as it was.
        prompt_ids: token ids of one prompt.
        answer_ids: token ids of its answer.
        neurons: (layer, neuron) pairs, e.g. ``np.argwhere(mask)``; None means all, which is for toy
            models.
        rule: a fixed path rule, see `rules`.
        steps: S of the rule.
        site: ``post`` or ``pre``.
        batch_rows: most rows in one pass; changes rounding only.

    Raises:
        DataError: the model does not fit the method, an unknown rule or site.
        ValueError: bad ids, or a neuron that the model does not have.
    """
    if site not in SITES:
        raise DataError(f"unknown site {site!r}; available: {', '.join(SITES)}")
    path = path_rule(rule, steps)
    with untouched(model) as lm, torch.inference_mode(False):
        prompt, answer = read_sample(lm, prompt_ids, answer_ids)
        chosen = _chosen(lm, neurons)
        check_model(lm, site)
        first = len(prompt) - 1
        sequence = Sequence(prompt + answer[:-1], list(range(first, first + len(answer))), answer)
        with use_prefix_attention(lm) as attention:
            recording = record(lm, attention, [sequence], site, linear=False)
            unchanged, _ = answer_probability(
                lm.head,
                recording.final[0],
                recording.targets[0],
                lm.softcap,
                scale=lm.logit_scale,
            )
            parts = []
            for layer in range(lm.n_layers):
                of_layer = chosen[chosen[:, 0] == layer, 1]
                work = _Layer(lm, attention, recording, layer, path, batch_rows)
                parts.append(work.scores(torch.from_numpy(of_layer).to(lm.device)))
    order = np.argsort(np.argsort(chosen[:, 0], kind="stable"), kind="stable")
    scores, zeroed = (np.concatenate([p[i] for p in parts])[order] for i in (0, 1))
    probability = unchanged.double().cpu().numpy()
    gap = np.abs(scores - (probability - zeroed))
    return NeuronAttribution(chosen, scores.mean(1), probability, zeroed, gap)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of one recorded sample."""

    lm: LanguageModel
    attention: PrefixAttention
    recording: Recording
    layer: int
    path: PathRule
    batch_rows: int

    def scores(self, neurons: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(neuron, token) scores and probabilities with the neuron at 0."""
        n_tokens = self.recording.slots.shape[1]
        if not len(neurons):
            return np.empty((0, n_tokens)), np.empty((0, n_tokens))
        wide = torch.promote_types(self.lm.dtype, torch.float32)
        points, weights = (
            torch.tensor(x, dtype=wide, device=self.lm.device) for x in self.path.scaled
        )
        pairs = torch.cartesian_prod(neurons, torch.arange(n_tokens, device=self.lm.device))
        step = max(1, self.batch_rows // (len(points) * (self.lm.n_layers - self.layer)))
        scores, zeroed = [], []
        for part in pairs.split(step):
            p, slope = self._at(part[:, 1], part[:, 0], points)
            scores.append((weights[:, None] * p * slope).sum(0))
            zeroed.append(p[0])  # the path begins at 0
        w = self.recording.neurons[self.layer][0].to(wide)
        total = torch.cat(scores).view(-1, n_tokens)
        if self.path.weight_of_one is not None:
            # Nothing is scaled there, so one row a token serves all neurons.
            p, slope = self._unchanged()
            total = total + self.path.weight_of_one * (p[:, None] * slope)[:, neurons].T
        total = total * w[:, neurons].T
        zero = torch.cat(zeroed).view(-1, n_tokens)
        return total.double().cpu().numpy(), zero.double().cpu().numpy()

    def _at(self, tokens: Tensor, neurons: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """(point, pair) probabilities and d log P / d(neuron)."""
        cut = slot_columns(self.recording, tokens)
        w = cut.neurons[self.layer][0]
        leaf = w.expand(len(points), *w.shape).clone()
        each = torch.arange(len(neurons), device=w.device)
        leaf[:, each, neurons] = (points[:, None] * w[each, neurons]).to(w.dtype)
        p, slope = self._gradient(cut, leaf.flatten(0, 1)[None])
        shape = (len(points), len(neurons))
        return p.view(shape), slope.view(*shape, -1)[:, each, neurons]

    def _unchanged(self) -> tuple[Tensor, Tensor]:
        """(token,) probabilities and (token, neuron) d log P / d(neurons)."""
        return self._gradient(self.recording, self.recording.neurons[self.layer].clone())

    def _gradient(self, recording: Recording, leaf: Tensor) -> tuple[Tensor, Tensor]:
        """(row,) P and (row, neuron) d log P / d(leaf), float32 or wider."""
        with torch.enable_grad():
            leaf.requires_grad_(True)
            final = rows_with_neurons(self.lm, self.attention, recording, self.layer, leaf)
        targets = recording.targets.repeat(1, leaf.shape[1] // recording.targets.shape[1])
        with torch.no_grad():
            p, seed = answer_probability(
                self.lm.head,
                final.detach()[0],
                targets[0],
                self.lm.softcap,
                scale=self.lm.logit_scale,
            )
        (slope,) = torch.autograd.grad(final, leaf, seed[None])
        return p, slope[0].to(p.dtype)


def _chosen(lm: LanguageModel, neurons: Iterable[tuple[int, int]] | None) -> NDArray[np.int64]:
    if neurons is None:
        return np.argwhere(np.ones((lm.n_layers, lm.n_neurons), bool))
    chosen = np.array([(int(layer), int(neuron)) for layer, neuron in neurons], np.int64)
    chosen = chosen.reshape(-1, 2)
    bad = (chosen < 0) | (chosen >= (lm.n_layers, lm.n_neurons))
    if bad.any():
        layer, neuron = chosen[bad.any(1).argmax()]
        raise ValueError(
            f"there is no neuron ({layer}, {neuron}); the model has {lm.n_layers} layers of "
            f"{lm.n_neurons} neurons, counted from 0"
        )
    return chosen
