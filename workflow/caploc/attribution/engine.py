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
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.attribution.adaptive import FIRST, Adaptive, adaptive_integral
from caploc.attribution.batching import Batch, plan_batches
from caploc.attribution.head import answer_probability
from caploc.attribution.injection import SITES, pull_back
from caploc.attribution.integration import Integral, fixed_integral
from caploc.attribution.model_check import check_model
from caploc.attribution.prefix_attention import PrefixAttention, use_prefix_attention
from caploc.attribution.recording import Recording, Sequence, record, slot_columns
from caploc.attribution.rules import PathRule, path_rule
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
        endpoint: (layer, token) what the rule ``inclusive`` adds to the sum of the scores by giving
            its ends full weight, (f(0) + f(1)) / 2S with f = dP/dc; None for other rules.
        rest: (layer, token) the gap without that known term: error of the trapezoid rule. None for
            other rules, where the gap is all.
        intervals: (layer, token) intervals that the rule ``adaptive`` took, so intervals + 1
            points; None for a fixed rule. `adaptive.path_nodes` turns it, with center and
            radius, into points and weights.
        center: (layer, token) of its change of variable; None for a fixed rule.
        radius: as center.
    """

    scores: NDArray[np.float32] | NDArray[np.float64]
    probability: NDArray[np.float64]
    probability_zeroed: NDArray[np.float64]
    gap: NDArray[np.float64]
    positions: list[int]
    n_answer_tokens: int
    endpoint: NDArray[np.float64] | None = None
    rest: NDArray[np.float64] | None = None
    intervals: NDArray[np.int64] | None = None
    center: NDArray[np.float64] | None = None
    radius: NDArray[np.float64] | None = None


def attribute(
    lm: LanguageModel,
    prompt_ids: SequenceOf[SequenceOf[int]],
    answer_ids: SequenceOf[SequenceOf[int]],
    *,
    rule: str = "inclusive",
    steps: int = 19,
    site: str = "post",
    tolerance: float = 1e-3,
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
        rule: path rule, see `rules`, or ``adaptive``, see `adaptive`.
        steps: S of the rule; for ``adaptive`` the cap on the intervals of a (layer, token), which
            are 4, 8, 16, ... up to it.
        site: ``post``, the input of the FFN's output projection, or ``pre``, the output of its
            first (gate) projection, in front of the nonlinearity.
        tolerance: of the rule ``adaptive``: largest gap, in probability, that is left alone.
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
    path = _path(rule, steps, tolerance)
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
        n_points = FIRST if isinstance(path, Adaptive) else len(path.scaled[0])
        for batch in plan_batches(sizes, n_points, lm.n_layers, batch_rows):
            recording = record(lm, attention, [sequences[i] for i in batch.members], site, linear)
            n_slots = [sizes[i][0] for i in batch.members]
            totals = _integrate(lm, attention, recording, n_slots, path, batch, batch_rows)
            for row, i in enumerate(batch.members):
                results[i] = _of_sample(totals, row, chosen[i], len(answer_ids[i]), names[i])
    return [results[i] for i in range(len(sequences))]


def _path(rule: str, steps: int, tolerance: float) -> PathRule | Adaptive:
    if rule != "adaptive":
        return path_rule(rule, steps)
    if steps < FIRST:
        raise ValueError(f"steps of the rule adaptive must be at least {FIRST}, found {steps}")
    if not tolerance > 0:
        raise ValueError(f"the tolerance must be above 0, found {tolerance}")
    return Adaptive(tolerance, steps)


@dataclass(frozen=True, slots=True)
class _Totals:
    """Results of a batch; axes (layer, sample, answer token, neuron), as far as they have them.

    `parts` are the integrals of its answer tokens in order, without their slopes.
    """

    scores: Tensor
    probability: Tensor
    score_sum: Tensor
    parts: list[Integral]

    def of(self, name: str, row: int, n: int) -> NDArray[np.float64] | None:
        """(layer, token) numbers of one sample, or None if the rule has none."""
        found = [getattr(part, name) for part in self.parts]
        if found[0] is None:
            return None
        return torch.cat(found, dim=2)[:, row, :n].double().cpu().numpy()


def _integrate(
    lm: LanguageModel,
    attention: PrefixAttention,
    recording: Recording,
    n_slots_of: list[int],
    path: PathRule | Adaptive,
    batch: Batch,
    max_rows: int,
) -> _Totals:
    """Scores of one batch, averaged over the scored answer tokens of each sample."""
    n_slots = torch.tensor(n_slots_of, device=lm.device)
    width = recording.slots.shape[1]
    # Padding repeats a slot, so its numbers are harmless; its weight in the mean is 0.
    wide = torch.promote_types(lm.dtype, torch.float32)
    real = torch.arange(width, device=lm.device) < n_slots[:, None]
    share = real / n_slots[:, None].to(wide)
    shape = (lm.n_layers, len(n_slots), lm.n_neurons)
    scores = torch.zeros(shape, dtype=wide, device=lm.device)
    sums, parts = [], []
    for first in range(0, width, batch.n_tokens):
        part = slice(first, first + batch.n_tokens)
        cut = slot_columns(recording, part)
        if isinstance(path, Adaptive):
            found = adaptive_integral(lm, attention, cut, real[:, part], path, max_rows)
        else:
            found = fixed_integral(lm, attention, cut, path, batch.n_points)
        sums.append(torch.empty_like(found.at_zero))
        for layer, projection in enumerate(lm.projections):
            # One product per layer, whatever the number of points.
            contribution = found.slope[layer]
            if cut.written is not None:
                contribution = pull_back(projection, cut.neurons[layer], contribution)
            contribution *= cut.neurons[layer]
            sums[-1][layer] = contribution.sum(-1)
            scores[layer] += torch.einsum("byj,by->bj", contribution, share[:, part])
        parts.append(replace(found, slope=[]))
    probability, _ = answer_probability(
        lm.head, recording.final.flatten(0, 1), recording.targets.flatten(), lm.softcap
    )
    return _Totals(
        scores.cpu(), probability.view(-1, width).cpu(), torch.cat(sums, dim=2).cpu(), parts
    )


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
    zeroed = totals.of("at_zero", row, n)
    assert zeroed is not None
    missed = totals.score_sum[:, row, :n].double().numpy() - (probability - zeroed)
    gap = np.abs(missed)
    if not (np.isfinite(scores).all() and np.isfinite(gap).all()):
        bad = int(np.argmin(np.isfinite(scores).all(1) & np.isfinite(gap).all(1)))
        raise DataError(
            f"sample {name!r}: a score of layer {bad} is not a finite number; check the dtype "
            "(float16 overflows: use bfloat16 or float32) and that the weights are not damaged"
        )
    endpoint = totals.of("endpoint", row, n)
    intervals = totals.of("intervals", row, n)
    return Attribution(
        scores.copy(),
        probability,
        zeroed,
        gap,
        chosen,
        n_answer_tokens,
        endpoint=endpoint,
        rest=None if endpoint is None else np.abs(missed - endpoint),
        intervals=None if intervals is None else intervals.astype(np.int64),
        center=totals.of("center", row, n),
        radius=totals.of("radius", row, n),
    )
