"""What the embedded model reads: samples of generated tasks, mixed, never a held-out prompt."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from caploc import plugins
from caploc.records import DataError
from caploc.samples.task import Answered, Task

__all__ = ["Text", "draw_corpus", "training_samples"]

_ALL_TOKENS = ("text",)
"""Capabilities whose prompts are learned too: text has no question."""


@dataclass(frozen=True, slots=True)
class Text:
    """One training sequence.

    Attributes:
        task: plug-in it came from.
        prompt: text before the answer.
        answer: text after it.
        learns_prompt: whether the loss covers the prompt as well.
    """

    task: str
    prompt: str
    answer: str
    learns_prompt: bool


def training_samples(task: Task, rng: random.Random) -> Iterator[Answered]:
    """Endless samples of the training side of a generated task.

    A task with a population is read in shuffled passes, so that every item is met equally often.

    Raises:
        DataError: the task has nothing to train on: no generator, or all of it is for evaluation.
    """
    if task.population is not None:
        items = [s for s in task.population() if not task.is_held_out(s[0], s[2])]
        while items:
            rng.shuffle(items)
            yield from items
        raise DataError(
            f"all samples of task {task.title!r} are for evaluation, so no model can be trained on "
            "it here; name other generated tasks in models.<id>.train.mixture"
        )
    if task.generate is None:
        raise DataError(
            f"task {task.title!r} has no generator, so no model can be trained on it here; name "
            "generated tasks in models.<id>.train.mixture"
        )
    while True:
        sample = task.generate(rng)
        if not task.is_held_out(sample[0], sample[2]):
            yield sample


def draw_corpus(mixture: dict[str, float], steps: int, batch: int, seed: int) -> list[list[Text]]:
    """Draw all batches of a training run.

    Args:
        mixture: weight of each task plug-in.
        steps: number of batches.
        batch: sequences in a batch.
        seed: of everything drawn.

    Returns:
        Batches of sequences. Each task's share of all sequences is its share of the weights, up to
        rounding, and each batch holds the shares as evenly as whole sequences allow.

    Raises:
        DataError: a task of the mixture cannot be generated.
    """
    total = sum(mixture.values())
    # Deal the tasks out like a fair rota: at every position the task that is most behind its share.
    behind = dict.fromkeys(mixture, 0.0)
    streams = {
        name: training_samples(plugins.load("tasks", name).TASK, random.Random(f"{seed}:{name}"))
        for name in mixture
    }
    learns = {name: plugins.load("tasks", name).TASK.capability in _ALL_TOKENS for name in mixture}
    texts = []
    for _ in range(steps * batch):
        for name, weight in mixture.items():
            behind[name] += weight / total
        name = max(behind, key=lambda n: behind[n])
        behind[name] -= 1
        prompt, answer, _ = next(streams[name])
        texts.append(Text(name, prompt, answer, learns[name]))
    rows = iter(texts)
    return [list(islice(rows, batch)) for _ in range(steps)]
