"""Contribution of every FFN neuron to the probability of the answer, exactly and in few passes.

    score[l, j] = 1/Y sum_m w[l, j] sum_n a_n dP(y_m | z_m; w_l := c_n w_l) / dw[l, j]

    z_m   prompt x followed by the gold answer before token m; only its last position is changed
    w_l   neuron vector of layer l there, scaled as a whole; see `injection` for its site
    c_n   points of the path rule, a_n their weights

Layers are integrated one at a time. Steps: record a group of samples (`recording`), send rows of
all layers, points and answer tokens through the blocks together (`streams`), sum the gradients over
the points first, then one product with the projection's weights per layer, then times w.

With a rule that integrates exactly, the scores of a layer add up to P(1) - P(0); how far they are
from it is returned as `gap`.

Source: the contribution score of the capability-neuron paper, which does not say at which position
the neurons are scaled and whether one by one: we scale the whole layer, at the last position.
"""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.attribution.batching import Batch, plan_batches
from caploc.attribution.head import answer_probability
from caploc.attribution.injection import SITES, pull_back
from caploc.attribution.model_check import check_model
from caploc.attribution.prefix_attention import PrefixAttention, use_prefix_attention
from caploc.attribution.recording import Recording, Sequence, record, slot_columns
from caploc.attribution.rules import PathRule, path_rule
from caploc.attribution.streams import row_gradients
from caploc.models._language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Attribution", "attribute"]


@dataclass(frozen=True, slots=True)
class Attribution:
    """Scores of one sample.

    Attributes:
        scores: (layer, neuron) contribution to the probability, mean over scored answer tokens.
        probability: (token,) P(y_m | z_m) of the unchanged model.
        probability_zeroed: (layer, token) the same with the neurons of the layer at 0.
        gap: (layer, token) |sum_j score_mj - (P(1) - P(0))|, in probability.
        positions: which answer tokens were scored, ascending; all of them unless capped.
        n_answer_tokens: answer tokens of the sample.
    """

    scores: NDArray[np.float32] | NDArray[np.float64]
    probability: NDArray[np.float64]
    probability_zeroed: NDArray[np.float64]
    gap: NDArray[np.float64]
    positions: list[int]
    n_answer_tokens: int


def attribute(
    lm: LanguageModel,
    prompt_ids: SequenceOf[SequenceOf[int]],
    answer_ids: SequenceOf[SequenceOf[int]],
    *,
    rule: str = "inclusive",
    steps: int = 19,
    site: str = "post",
    max_answer_tokens: int | None = None,
    batch_rows: int = 4096,
    seed: int = 0,
    names: SequenceOf[str] | None = None,
) -> list[Attribution]:
    """Score all FFN neurons for each sample.

    Args:
        lm: the model.
        prompt_ids: token ids before the answer, at least one per sample.
        answer_ids: token ids of the gold answer, at least one per sample.
        rule: path rule, see `rules`.
        steps: S of the rule.
        site: ``post``, the input of the FFN's output projection, or ``pre``, the output of its
            first (gate) projection, in front of the nonlinearity.
        max_answer_tokens: score at most this many answer tokens of a sample, a uniform random
            choice without replacement (an unbiased mean); None means all.
        batch_rows: most rows in one pass; bounds memory, changes rounding only.
        seed: of that choice, which depends on the sample's ids and nothing else.
        names: what errors call the samples.

    Returns:
        One `Attribution` per sample, in input order.

    Raises:
        DataError: the model does not fit the method, an unknown rule or site, or a score that is
            not a number.
        ValueError: bad arguments.
    """
    if site not in SITES:
        raise DataError(f"unknown site {site!r}; available: {', '.join(SITES)}")
    path = path_rule(rule, steps)
    names = names or [str(i) for i in range(len(prompt_ids))]
    chosen = [
        _choose(lm, x, y, max_answer_tokens, seed)
        for x, y in zip(prompt_ids, answer_ids, strict=True)
    ]
    sequences = [_sequence(x, y, m) for x, y, m in zip(prompt_ids, answer_ids, chosen, strict=True)]
    sizes = [(len(s.slots), len(s.ids)) for s in sequences]
    linear = check_model(lm, site)
    results: dict[int, Attribution] = {}
    with use_prefix_attention(lm) as attention:
        for batch in plan_batches(sizes, len(path.scaled[0]), lm.n_layers, batch_rows):
            recording = record(lm, attention, [sequences[i] for i in batch.members], site, linear)
            n_slots = [sizes[i][0] for i in batch.members]
            totals = _integrate(lm, attention, recording, n_slots, path, batch)
            for row, i in enumerate(batch.members):
                results[i] = _of_sample(totals, row, chosen[i], len(answer_ids[i]), names[i])
    return [results[i] for i in range(len(sequences))]


@dataclass(frozen=True, slots=True)
class _Totals:
    """Results of a batch; axes (layer, sample, answer token, neuron), as far as they have them."""

    scores: Tensor
    probability: Tensor
    probability_zeroed: Tensor
    score_sum: Tensor


def _integrate(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    n_slots_of: list[int],
    path: PathRule,
    batch: Batch,
) -> _Totals:
    """Scores of one batch, averaged over the scored answer tokens of each sample."""
    n_slots = torch.tensor(n_slots_of, device=lm.device)
    width = recording.slots.shape[1]
    # Padding repeats a slot, so its numbers are harmless; its weight in the mean is 0.
    wide = torch.promote_types(lm.dtype, torch.float32)
    share = (torch.arange(width, device=lm.device) < n_slots[:, None]) / n_slots[:, None].to(wide)
    shape = (lm.n_layers, len(n_slots), lm.n_neurons)
    scores = torch.zeros(shape, dtype=wide, device=lm.device)
    zeroed, sums = [], []
    for first in range(0, width, batch.n_tokens):
        part = slice(first, first + batch.n_tokens)
        cut = slot_columns(recording, part)
        slope, at_zero = _slope(lm, attention, cut, path, batch.n_points)
        zeroed.append(at_zero)
        sums.append(torch.empty_like(at_zero))
        for layer, projection in enumerate(lm.projections):
            # One product per layer, whatever the number of points.
            contribution = slope[layer]
            if cut.written is not None:
                contribution = pull_back(
                    projection, cut.neurons[layer], contribution.to(lm.dtype)
                ).to(wide)
            contribution *= cut.neurons[layer]
            sums[-1][layer] = contribution.sum(-1)
            scores[layer] += torch.einsum("byj,by->bj", contribution, share[:, part])
    probability, _ = answer_probability(
        lm.head, recording.final.flatten(0, 1), recording.targets.flatten(), lm.softcap
    )
    return _Totals(
        scores.cpu(),
        probability.view(-1, width).cpu(),
        torch.cat(zeroed, dim=2).cpu(),
        torch.cat(sums, dim=2).cpu(),
    )


def _slope(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    path: PathRule,
    n_points: int,
) -> tuple[list[Tensor], Tensor]:
    """Weighted sum of the gradients over the path, and P with the layer's neurons at 0.

    Returns:
        Per layer (sample, answer token, width or neuron) slope, see `streams`;
        (layer, sample, answer token) probability.
    """
    wide = torch.promote_types(lm.dtype, torch.float32)
    points, weights = (
        torch.tensor(x, dtype=wide, device=lm.device)[:, None, None] for x in path.scaled
    )
    unchanged = path.weight_of_one
    slope: list[Tensor] = []
    at_zero = None
    for c, a in zip(points.split(n_points), weights.split(n_points), strict=True):
        layers = [c] * lm.n_layers, [a] * lm.n_layers
        part = row_gradients(lm, attention, recording, *layers, unchanged)
        slope = [x + y for x, y in zip(slope, part.slope, strict=True)] if slope else part.slope
        # The path begins at 0, and the unchanged row is counted once.
        if at_zero is None:
            at_zero = torch.stack([p[:, 0] for p in part.probability])
        unchanged = None
    assert at_zero is not None
    return slope, at_zero


def _choose(
    lm: LanguageModel, prompt: SequenceOf[int], answer: SequenceOf[int], most: int | None, seed: int
) -> list[int]:
    """Which answer tokens of a sample are scored, ascending."""
    if not len(prompt) or not len(answer):
        raise ValueError("a sample needs at least one prompt token and one answer token")
    if len(prompt) + len(answer) - 1 > lm.context:
        raise ValueError(
            f"a sample of {len(prompt)} + {len(answer)} tokens exceeds the context of {lm.context}"
        )
    if most is None or len(answer) <= most:
        return list(range(len(answer)))
    # Seeded by the sample itself, so that neither order nor grouping of samples matters.
    generator = np.random.default_rng([seed, *prompt, *answer])
    return sorted(generator.choice(len(answer), size=most, replace=False).tolist())


def _sequence(prompt: SequenceOf[int], answer: SequenceOf[int], chosen: list[int]) -> Sequence:
    return Sequence(
        ids=[*prompt, *answer[: chosen[-1]]],
        slots=[len(prompt) - 1 + m for m in chosen],
        targets=[answer[m] for m in chosen],
    )


def _of_sample(
    totals: _Totals, row: int, chosen: list[int], n_answer_tokens: int, name: str
) -> Attribution:
    n = len(chosen)
    scores = totals.scores[:, row].numpy()
    probability = totals.probability[row, :n].double().numpy()
    zeroed = totals.probability_zeroed[:, row, :n].double().numpy()
    gap = np.abs(totals.score_sum[:, row, :n].double().numpy() - (probability - zeroed))
    if not (np.isfinite(scores).all() and np.isfinite(gap).all()):
        bad = int(np.argmin(np.isfinite(scores).all(1) & np.isfinite(gap).all(1)))
        raise DataError(
            f"sample {name!r}: a score of layer {bad} is not a finite number; check the dtype "
            "(float16 overflows: use bfloat16 or float32) and that the weights are not damaged"
        )
    return Attribution(scores.copy(), probability, zeroed, gap, chosen, n_answer_tokens)
