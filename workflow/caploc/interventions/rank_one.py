"""Rank-one edit of an FFN output projection (ROME): one key gets a new value, little else changes.

    W' = W + (v - W k - b) (C^-1 k)^T / (k^T C^-1 k)

maps the key k to the value v exactly, and leaves every key k' with k'^T C^-1 k = 0 as it is; C is
the second moment of keys over neutral text. The key is the input of the projection at the last
subject token, mean over random prefixes; the value is what makes the model say the new object,
found by gradient descent on the projection's output there.

Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", section 3.1, and their
public code: 20 steps of Adam at 0.5, weight decay 0.5, KL factor 0.0625 on "<subject> is a", change
at most 4 times the norm of the old value, no further steps below a loss of 0.05. Different here:
the paper's closed form is used, in which v belongs to the mean key.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from caploc.forward.batch import batch_of, gold, padded
from caploc.forward.hooks import recorded_neurons
from caploc.forward.subject import Tokens
from caploc.models.language_model import LanguageModel, matrix
from caploc.models.placement import held_weight_and_bias, weight_in_place
from caploc.records import DataError

__all__ = [
    "Edit",
    "ValueSettings",
    "edited",
    "find_values",
    "mean_keys",
    "rank_one_edit",
]

_LOW_LOSS = 0.05


@dataclass(frozen=True, slots=True)
class ValueSettings:
    """How the value is searched.

    Attributes:
        steps: of Adam.
        learning_rate: of Adam.
        weight_decay: on the norm of the change, relative to the squared norm of the old value.
        kl: weight of the change of what follows "<subject> is a".
        clamp: largest norm of the change, in units of the old value's.
    """

    steps: int = 20
    learning_rate: float = 0.5
    weight_decay: float = 0.5
    kl: float = 0.0625
    clamp: float = 4.0


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one projection: weight += outer(right, left).

    Attributes:
        layer: index of the block.
        left: (neuron,) C^-1 k / (k^T C^-1 k).
        right: (width,) v - W k - b.
    """

    layer: int
    left: Tensor
    right: Tensor


def rank_one_edit(
    lm: LanguageModel, layer: int, key: Tensor, value: Tensor, factor: Tensor
) -> Edit:
    """The closed form, in float64.

    Args:
        lm: the model; it is not changed.
        layer: index of the block.
        key: (neuron,) k.
        value: (width,) v, with the projection's bias.
        factor: (neuron, neuron) lower Cholesky factor of C, see `second_moment.factorised`.

    Raises:
        DataError: the FFN is made of experts.
    """
    if lm.family.experts:
        raise DataError(
            f"family {lm.family.name}: an FFN of experts has no single output projection to edit; "
            "leave the experiment reliability out of the run"
        )
    projection = lm.projections[layer]
    k, v = key.double(), value.double()
    left = torch.cholesky_solve(k[:, None], factor.to(k))[:, 0]
    _, bias = held_weight_and_bias(projection)
    old = matrix(projection).double() @ k + (0 if bias is None else bias.double())
    return Edit(layer, left / (left @ k), v - old)


@contextmanager
def edited(lm: LanguageModel, edit: Edit) -> Iterator[None]:
    """Change the weights of whatever runs inside; then they are what they were, bit for bit.

    Raises:
        DataError: the weight is kept elsewhere, see `models.placement`.
    """
    weight_in_place(lm.projections[edit.layer])
    weight = matrix(lm.projections[edit.layer])
    with torch.no_grad():
        before = weight.clone()
        try:
            weight += torch.outer(edit.right, edit.left).to(weight)
            yield
        finally:
            weight.copy_(before)


@torch.no_grad()
def mean_keys(lm: LanguageModel, facts: Sequence[Sequence[Tokens]]) -> Tensor:
    """Inputs of every output projection at the last subject token, mean over the texts of a fact.

    Args:
        lm: the model.
        facts: per fact its prompt behind every prefix.

    Returns:
        (layer, fact, neuron), float64.
    """
    result = []
    for texts in facts:
        row = torch.arange(len(texts), device=lm.device)
        last = torch.tensor([t.last for t in texts], device=lm.device)
        ids = padded([t.prompt for t in texts], lm.device)
        keys = recorded_neurons(lm, ids, at=(row, last))
        result.append(torch.stack([k.double().mean(0) for k in keys]))
    return torch.stack(result, dim=1)


def find_values(
    lm: LanguageModel,
    layer: int,
    facts: Sequence[Sequence[Tokens]],
    essences: Sequence[Tokens],
    settings: ValueSettings,
) -> Tensor:
    """Values that make the model say the new objects, for several facts at once.

    Facts do not see one another: every loss depends on the change of its own fact alone.

    Args:
        lm: the model; it is not changed.
        layer: index of the block whose FFN output is changed.
        facts: per fact its prompt behind every prefix (the first without one), with the new object
            as answer.
        essences: per fact "<subject> is a", with any answer.
        settings: of the search.

    Returns:
        (fact, width) values, the projection's bias included.
    """
    search = _Search(lm, layer, facts, essences)
    with torch.no_grad():
        _, reference = search.outcome(None)
    old = search.old
    norm = old.float().norm(dim=1)
    change = torch.zeros_like(old, dtype=torch.float32).requires_grad_(True)
    optimiser = torch.optim.Adam([change], lr=settings.learning_rate)
    done = torch.zeros(len(facts), dtype=torch.bool, device=lm.device)
    for step in range(settings.steps):
        loss, after = search.outcome(change)
        kl = (after.exp() * (after - reference)).sum(1)
        decay = settings.weight_decay * change.norm(dim=1) / norm**2
        total = loss + settings.kl * kl + decay
        done |= total.detach() < _LOW_LOSS
        if bool(done.all()) or step == settings.steps - 1:
            break
        optimiser.zero_grad()
        total.sum().backward()
        with torch.no_grad():
            kept = change.clone()
        optimiser.step()
        with torch.no_grad():
            change[done] = kept[done]
            size = change.norm(dim=1)
            most = settings.clamp * norm
            change *= torch.where(size > most, most / size.clamp_min(1e-30), 1.0)[:, None]
    return old + change.detach().to(old)


class _Search:
    """All texts of some facts in one batch, while the FFN output at their subjects is changed.

    Args:
        lm: as in `find_values`, as all below.
        layer: index of the block.
        facts: texts of each fact.
        essences: one text of each fact.

    Attributes:
        old: (fact, width) unchanged FFN output at the last subject token; known after the first
            `outcome`.
    """

    old: Tensor

    def __init__(
        self, lm: LanguageModel, layer: int, facts: Sequence[Sequence[Tokens]],
        essences: Sequence[Tokens],
    ) -> None:  # fmt: skip
        texts = [*(t for of_fact in facts for t in of_fact), *essences]
        counts = torch.tensor([len(of_fact) for of_fact in facts], device=lm.device)
        fact = torch.arange(len(facts), device=lm.device)
        self._lm, self._projection = lm, lm.projections[layer]
        self._batch = batch_of([(t.prompt, t.answer) for t in texts], lm.device)
        self._n_texts = counts
        self._owner = torch.cat([fact.repeat_interleave(counts), fact])
        self._row = torch.arange(len(texts), device=lm.device)
        self._last = torch.tensor([t.last for t in texts], device=lm.device)

    def outcome(self, change: Tensor | None) -> tuple[Tensor, Tensor]:
        """(fact,) mean loss of the new object, (fact, vocab) log-probability behind the essence.

        Args:
            change: (fact, width) what is added to the FFN output at the last subject token.
        """

        def add(module: Any, args: Any, output: Tensor) -> Tensor:
            x = output.reshape(len(self._row), -1, output.shape[-1]).clone()
            at_subject = x[self._row, self._last]
            if change is None:
                first = self._n_texts.cumsum(0) - self._n_texts
                self.old = at_subject[first].detach()
                return output
            x[self._row, self._last] = at_subject + change[self._owner].to(x)
            return x.view_as(output)

        lm, batch, n = self._lm, self._batch, int(self._n_texts.sum())
        with self._projection.register_forward_hook(add):
            hidden = lm.model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
        told = batch.rows(self._row[:n])
        found = gold(lm.logits(told.at_answer(hidden[:n])), told.targets)
        each = -found.masked_fill(~told.counts, 0.0).sum(1) / told.n_tokens
        loss = each.new_zeros(len(self._n_texts)).index_add(0, self._owner[:n], each)
        essence = self._row[n:]
        after = lm.logits(hidden[essence, batch.positions[essence, 0]]).float()
        return loss / self._n_texts, torch.log_softmax(after, -1)
