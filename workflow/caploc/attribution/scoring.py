"""Scores of one batch of samples: recorded, integrated, multiplied with the neurons, averaged."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.attribution.adaptive import Adaptive, adaptive_integral
from caploc.attribution.batching import Batch
from caploc.attribution.head import answer_probability
from caploc.attribution.injection import pull_back
from caploc.attribution.integration import Integral, fixed_integral
from caploc.attribution.planning import Planner
from caploc.attribution.prefix_attention import PrefixAttention
from caploc.attribution.recording import Recording, Sequence, record, slot_columns
from caploc.attribution.rules import PathRule
from caploc.models.language_model import LanguageModel

__all__ = ["Scoring", "Totals"]


@dataclass(frozen=True, slots=True)
class Totals:
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


@dataclass(frozen=True, slots=True)
class Scoring:
    """What the batches of one call share."""

    lm: LanguageModel
    attention: PrefixAttention
    path: PathRule | Adaptive
    planner: Planner
    sequences: list[Sequence]

    def integrate(self, batch: Batch) -> Totals:
        """Scores of one batch, averaged over the scored answer tokens of each sample."""
        lm = self.lm
        members = [self.sequences[i] for i in batch.members]
        n_slots = torch.tensor([len(s.slots) for s in members], device=lm.device)
        width = int(n_slots.max())
        # Padding repeats a slot, so its numbers are harmless; its weight in the mean is 0.
        wide = torch.promote_types(lm.dtype, torch.float32)
        real = torch.arange(width, device=lm.device) < n_slots[:, None]
        share = real / n_slots[:, None].to(wide)
        whole = None if batch.recompute else self._record(members)
        scores = torch.zeros(
            (lm.n_layers, len(members), lm.n_neurons), dtype=wide, device=lm.device
        )
        sums, parts, probabilities = [], [], []
        for first in range(0, width, batch.n_tokens):
            part = slice(first, first + batch.n_tokens)
            cut = (
                slot_columns(whole, part)
                if whole
                else self._record([s.only(part) for s in members])
            )
            found = self._integral(cut, real[:, part], batch)
            sums.append(_add_scores(lm, cut, found, share[:, part], scores))
            parts.append(replace(found, slope=[]))
            probabilities.append(_probability(lm, cut, batch))
            del cut, found
        return Totals(
            scores.cpu(), torch.cat(probabilities, dim=1).cpu(), torch.cat(sums, dim=2).cpu(), parts
        )

    def _record(self, members: list[Sequence]) -> Recording:
        trials = self.planner.footprint.trials
        return record(self.lm, self.attention, members, trials.site, trials.linear)

    def _integral(self, cut: Recording, real: Tensor, batch: Batch) -> Integral:
        if isinstance(self.path, Adaptive):
            room = self.planner.room(batch)
            return adaptive_integral(self.lm, self.attention, cut, real, self.path, batch, room)
        return fixed_integral(self.lm, self.attention, cut, self.path, batch)


def _add_scores(
    lm: LanguageModel, cut: Recording, found: Integral, share: Tensor, scores: Tensor
) -> Tensor:
    """Add what some answer tokens contribute; returns the sum over neurons, as `at_zero`."""
    sums = torch.empty_like(found.at_zero)
    for layer, projection in enumerate(lm.projections):
        # One product per layer, whatever the number of points.
        contribution = found.slope[layer]
        if cut.written is not None:
            contribution = pull_back(projection, cut.neurons[layer], contribution)
        contribution *= cut.neurons[layer]
        sums[layer] = contribution.sum(-1)
        scores[layer] += torch.einsum("byj,by->bj", contribution, share)
    return sums


def _probability(lm: LanguageModel, cut: Recording, batch: Batch) -> Tensor:
    """(sample, answer token) P of the unchanged model."""
    probability, _ = answer_probability(
        lm.head,
        cut.final.flatten(0, 1),
        cut.targets.flatten(),
        lm.softcap,
        batch.head_rows,
        lm.logit_scale,
    )
    return probability.view(cut.targets.shape)
