"""Draw paired samples of one family: one main part, two tasks, two forms of each.

Settings: `PreparePairs`. Outputs: ``samples``, one row a prompt; ``card``, what the data are, to
hand on with them. Only main parts that no model was trained on here are drawn.
"""

import logging
import random
from collections.abc import Sequence
from typing import Any

import polars as pl

from caploc import plugins
from caploc.experiments.decoupling.settings import PreparePairs
from caploc.files import store, tables
from caploc.jobs.job import Job
from caploc.records import DataError
from caploc.samples.paired import FORMS, PARTS
from caploc.samples.task import Answered, Task

__all__ = ["PAIRS", "choose_pairs", "run"]

_LOG = logging.getLogger(__name__)
PAIRS = tables.texts("pair_id", "main", "part", "form", "prompt", "answer")


def run(job: Job) -> None:
    """Draw, write.

    Raises:
        DataError: no such family, or fewer pairs than are asked for.
    """
    told = job.told(PreparePairs)
    name = told.pairs
    task = plugins.load("tasks", name).TASK
    pairs = choose_pairs(name, task, told.n, told.seed)
    rows = [
        {"pair_id": f"{name}-{k:05d}", "prompt": prompt, "answer": answer}
        | {key: meta[key] for key in ("main", "part", "form")}
        for k, pair in enumerate(pairs)
        for prompt, answer, meta in pair
    ]
    tables.write_part(
        pl.DataFrame(rows, dict(PAIRS)), job.outputs["samples"], job.origin(), n=len(pairs),
        seed=told.seed,
    )  # fmt: skip
    store.write_text(_card(task, rows, told), job.outputs["card"])
    _LOG.info("%s: %d pairs", name, len(pairs))


def choose_pairs(name: str, task: Task, n: int, seed: int) -> list[list[Answered]]:
    """Main parts drawn at random, each with all its prompts.

    Args:
        name: of the family, for messages.
        task: its plug-in.
        n: pairs wanted.
        seed: of the draw.

    Returns:
        Per pair its four prompts: part 1 in both forms, part 2 in both forms.

    Raises:
        DataError: the task has no pairs, or fewer than `n`.
    """
    by_main: dict[str, dict[tuple[str, str], Answered]] = {}
    wanted = [(part, form) for part in PARTS for form in FORMS]
    for sample in task.population() if task.population is not None else ():
        meta = sample[2]
        if {"main", "part", "form"} <= meta.keys() and task.is_held_out(sample[0], meta):
            by_main.setdefault(meta["main"], {})[meta["part"], meta["form"]] = sample
    whole = {main: found for main, found in by_main.items() if all(key in found for key in wanted)}
    if not whole:
        raise DataError(
            f"experiments.decoupling.families: task {name!r} has no paired samples; choose one "
            "that names main, part and form, such as calculations or remarks"
        )
    if n > len(whole):
        raise DataError(
            f"experiments.decoupling.pairs: {n} pairs asked for, {name!r} has {len(whole)} "
            f"distinct main parts outside the training text; set it to at most {len(whole)}"
        )
    mains = sorted(whole)
    random.Random(f"pairs {name} {seed}").shuffle(mains)
    return [[whole[main][key] for key in wanted] for main in mains[:n]]


def _card(task: Task, rows: Sequence[dict[str, Any]], told: PreparePairs) -> str:
    """The data card: what the data are, how they were made, what they are not for."""
    shown = "\n".join(
        f"| {row['part']} | {row['form']} | `{row['prompt']!r}` | `{row['answer']!r}` |"
        for row in rows[:8]
    )
    answers = {part: len({r["answer"] for r in rows if r["part"] == part}) for part in PARTS}
    return f"""# Paired samples: {task.title}

{told.n} pairs, {len(rows)} prompts, English. Made by caploc (task plug-in `{told.pairs}`, seed {told.seed}): the same seed
and the same code give the same data. MIT licence, like the program that writes them; no text of anybody else is in them.

- A *pair* is one main part, unique in the set, with two questions about it, the sub-tasks (`part` 1 and 2).
- Every sub-task is asked in two ways (`form` 0 and 1). Form 0 is used for coincidence rates, both for the matched comparison.
- Different gold answers: {answers["1"]} in part 1, {answers["2"]} in part 2.
- Columns of `samples.parquet`: pair_id, main, part, form, prompt, answer (begins with a space).
- Main parts were drawn from those that the models trained by this workflow never saw.

| part | form | prompt | answer |
|---|---|---|---|
{shown}

Meant for: comparing where a model handles the same text under different tasks. Not meant for: measuring how well a
model calculates or judges; sentences are invented from few words and say nothing about language in general.
"""  # noqa: E501
