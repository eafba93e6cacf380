"""Answers of a model to samples of a task: right or wrong, and how likely the gold answer is."""

from dataclasses import dataclass

import torch

from caploc.forward.answer_pass import answer_pass
from caploc.forward.generation import complete
from caploc.forward.samples import Encoded
from caploc.models.language_model import LanguageModel
from caploc.samples.task import Task

__all__ = ["Judged", "judge"]

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model made of some samples, in their order.

    Attributes:
        log_probability: of the whole gold answer, in nat.
        correct: whether the greedy answer is right; None where none was asked for.
    """

    log_probability: tuple[float, ...]
    correct: tuple[bool, ...] | None


@torch.no_grad()
def judge(lm: LanguageModel, task: Task | None, texts: Encoded) -> Judged:
    """Score the model as it is.

    Args:
        lm: the model.
        task: decides when a greedy answer is right; None asks for no greedy answer.
        texts: what to answer.
    """
    pairs = texts.pairs
    order = sorted(range(len(pairs)), key=lambda i: sum(map(len, pairs[i])))
    found = [0.0] * len(order)
    for first in range(0, len(order), _BATCH):
        chosen = order[first : first + _BATCH]
        totals = answer_pass(lm, [pairs[i] for i in chosen]).total.tolist()
        for i, value in zip(chosen, totals, strict=True):
            found[i] = value
    if task is None:
        return Judged(tuple(found), None)
    prompts = [sample.prompt for sample in texts.samples]
    answers = [sample.answer for sample in texts.samples]
    said = dict(complete(lm, prompts, answers, _BATCH))
    correct = tuple(task.score(answer, said[i]) for i, answer in enumerate(answers))
    return Judged(tuple(found), correct)
