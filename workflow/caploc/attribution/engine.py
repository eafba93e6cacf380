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

from caploc.attribution.adaptive import FIRST, Adaptive
from caploc.attribution.batching import Batch
from caploc.attribution.footprint import Footprint
from caploc.attribution.injection import SITES
from caploc.attribution.memory import budget_bytes
from caploc.attribution.model_check import check_model
from caploc.attribution.planning import Planner
from caploc.attribution.prefix_attention import use_prefix_attention
from caploc.attribution.recording import Sequence
from caploc.attribution.rules import PathRule, path_rule
from caploc.attribution.scoring import Scoring, Totals
from caploc.attribution.trial_runs import TrialRuns
from caploc.models.language_model import LanguageModel
from caploc.records import DataError

__all__ = ["Attribution", "attribute", "planner_of"]


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
    memory_bytes: int | None = None,
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
        batch_rows: most rows in one pass; changes rounding only.
        memory_bytes: most bytes of tensors beside the weights, which decide how much of a sample
            shares a pass (see `batching`); changes rounding only. None takes a part of the memory
            that is free, see `memory`.
        seed: of that choice, which depends on the sample's ids and nothing else.
        names: what errors call the samples.

    Returns:
        One `Attribution` per sample, in input order.

    Raises:
        DataError: the model does not fit the method, an unknown rule or site, or a score that is
            not a number; or the memory is too small, with the least that would do.
        ValueError: bad arguments.
    """
    if site not in SITES:
        raise DataError(f"unknown site {site!r}; available: {', '.join(SITES)}")
    if torch.is_autocast_enabled(lm.device.type):
        raise DataError(
            "scores under torch.autocast are rounded where nobody sees it; call outside of it, and "
            "choose the number format when the model is loaded"
        )
    path = _path(rule, steps, tolerance)
    names = names or [str(i) for i in range(len(prompt_ids))]
    chosen = [
        _choose(lm, x, y, max_answer_tokens, seed)
        for x, y in zip(prompt_ids, answer_ids, strict=True)
    ]
    sequences = [_sequence(x, y, m) for x, y, m in zip(prompt_ids, answer_ids, chosen, strict=True)]
    sizes = [(len(s.slots), len(s.ids)) for s in sequences]
    planner = planner_of(lm, path, site, sizes, names, batch_rows, memory_bytes)
    results: dict[int, Attribution] = {}
    with use_prefix_attention(lm) as attention:
        scoring = Scoring(lm, attention, path, planner, sequences)

        def score(batch: Batch) -> list[Attribution]:
            totals = scoring.integrate(batch)
            return [
                _of_sample(totals, row, chosen[i], len(answer_ids[i]), names[i])
                for row, i in enumerate(batch.members)
            ]

        for batch, found in planner.in_batches(score):
            results.update(zip(batch.members, found, strict=True))
    return [results[i] for i in range(len(sequences))]


def planner_of(
    lm: LanguageModel, path: PathRule | Adaptive, site: str, sizes: list[tuple[int, int]],
    names: SequenceOf[str], batch_rows: int = 4096, memory_bytes: int | None = None,
) -> Planner:  # fmt: skip
    """What decides how the samples of a call are divided.

    Args:
        lm: the model; it is checked.
        path: the rule.
        site: where the neurons are.
        sizes: (number of scored answer tokens, length in tokens) of each sample.
        names: what errors call the samples.
        batch_rows: as for `attribute`.
        memory_bytes: as for `attribute`.
    """
    trials = TrialRuns(lm, site, check_model(lm, site))
    budget = budget_bytes(lm, memory_bytes)
    if isinstance(path, Adaptive):
        footprint = Footprint(trials, FIRST, True, path.most)
    else:
        below, one = len(path.scaled[0]), path.weight_of_one is not None
        footprint = Footprint(trials, below, one)
    return Planner(footprint, sizes, list(names), batch_rows, budget)


def _path(rule: str, steps: int, tolerance: float) -> PathRule | Adaptive:
    if rule != "adaptive":
        return path_rule(rule, steps)
    if steps < FIRST:
        raise ValueError(f"steps of the rule adaptive must be at least {FIRST}, found {steps}")
    if not tolerance > 0:
        raise ValueError(f"the tolerance must be above 0, found {tolerance}")
    return Adaptive(tolerance, steps)


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
    totals: Totals, row: int, chosen: list[int], n_answer_tokens: int, name: str
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
