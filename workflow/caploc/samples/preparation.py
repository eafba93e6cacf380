"""From a task to its four disjoint splits: every sample once, every dropped row counted."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from caploc.records import DataError, Dropped, Sample
from caploc.samples.source import read_parts
from caploc.samples.splits import SPLITS, cut, distinct_in_order, prompt_digest
from caploc.samples.task import Answered, Task, template_columns

__all__ = ["Split", "configured", "prepare"]

_DUPLICATE = "duplicate prompt"
_CONFLICT = "duplicate prompt with another answer"
_DRAWS_PER_SAMPLE = 50
"""A generator that still repeats itself after so many draws has no more samples to give."""


@dataclass(slots=True)
class Split:
    """One split of a task.

    Attributes:
        samples: in an order that the seed decides.
        wanted: how many were asked for.
        dropped: rows left out, by reason; stands with the first split that a part of the data set
            feeds, so that a sum over the splits counts each row once.
        sources: what identifies the data.
    """

    samples: list[Sample]
    wanted: int
    dropped: Counter[str] = field(default_factory=Counter)
    sources: list[dict[str, str]] = field(default_factory=list)


def configured(task: Task, settings: Mapping[str, Any]) -> Task:
    """The task with the templates and labels of the config.

    Raises:
        DataError: a template for a generated task, or no template where one is needed.
    """
    own = {key: settings[key] for key in ("prompt", "answer", "labels") if settings.get(key)}
    given = [key for key in ("prompt", "answer", "labels", "files", "repo") if settings.get(key)]
    if task.generate is not None:
        if given:
            raise DataError(
                f"task {task.title!r} is generated: `{given[0]}` has no meaning for it; use plugin "
                "`generic` for your own data"
            )
        return task
    if "labels" in own:
        own["labels"] = tuple(own["labels"])
    task = replace(task, **own)
    for key in ("prompt", "answer"):
        if not getattr(task, key):
            raise DataError(f"task {task.title!r} needs `{key}`: a template with {{column}} places")
    if not template_columns(task.prompt):
        raise DataError(
            f"prompt {task.prompt!r} has no {{column}}: every sample would be the same; name a "
            "column of the data in braces"
        )
    return task


def prepare(
    task: Task, settings: Mapping[str, Any], wanted: Mapping[str, int], seed: int
) -> dict[str, Split]:
    """Make the splits of a task.

    Args:
        task: from its plug-in.
        settings: keys of the config that concern the data; ``task`` is the id.
        wanted: samples by split; a shortage is shared out in proportion.
        seed: of generated samples, and of who goes where.

    Returns:
        Splits in the order of `SPLITS`.

    Raises:
        DataError: unusable data, or no sample to locate with.
    """
    task = configured(task, settings)
    name = f"{settings['task']}:{seed}"
    splits = {split: Split([], wanted[split]) for split in SPLITS}
    pools: list[tuple[tuple[str, ...], _Pool]]
    if task.generate is not None:
        pools = [(SPLITS, _Pool.of(_generated(task, sum(wanted.values()), name)))]
    else:
        pools = _pools_of_rows(task, settings)
    taken: set[str] = set()
    # Parts with a fixed role first: a prompt in both `train` and `test` belongs to test.
    for names, pool in sorted(pools, key=lambda p: len(p[0])):
        kept = {d: s for d, s in pool.samples.items() if d not in taken}
        pool.dropped[_DUPLICATE] += len(pool.samples) - len(kept)
        taken |= kept.keys()
        digests = list(kept)
        order = distinct_in_order(digests, name)
        for split, places in cut(len(order), {s: wanted[s] for s in names}).items():
            splits[split].samples = [kept[digests[order[i]]] for i in places]
        splits[names[0]].dropped = +pool.dropped
        for split in names:
            splits[split].sources = pool.sources
    if not splits["locate"].samples:
        lost = ", ".join(f"{count} {reason}" for reason, count in splits["locate"].dropped.items())
        raise DataError(
            f"task {settings['task']!r}: no sample to locate with; dropped rows: {lost or 'none'}; "
            "correct the data or the templates"
        )
    return splits


@dataclass(slots=True)
class _Pool:
    """Distinct samples by prompt digest, and what was left out."""

    samples: dict[str, Sample] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    sources: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, answered: Iterable[Answered]) -> "_Pool":
        pool = cls()
        for item in answered:
            pool.add(*item)
        return pool

    def add(self, prompt: str, answer: str, meta: dict[str, str]) -> None:
        digest = prompt_digest(prompt)
        if digest in self.samples:
            same = self.samples[digest].answer == answer
            self.dropped[_DUPLICATE if same else _CONFLICT] += 1
        else:
            self.samples[digest] = Sample(digest, prompt, answer, meta)


def _generated(task: Task, n: int, seed: str) -> Iterator[Answered]:
    """Distinct evaluation samples: n of them, or as many as there are."""
    if task.population is not None:
        yield from (s for s in task.population() if task.is_held_out(s[0], s[2]))
        return
    assert task.generate is not None
    rng = random.Random(seed)
    seen: set[str] = set()
    for _ in range(n * _DRAWS_PER_SAMPLE):
        prompt, answer, meta = task.generate(rng)
        digest = prompt_digest(prompt)
        if digest not in seen and task.is_held_out(prompt, meta):
            seen.add(digest)
            yield prompt, answer, meta
            if len(seen) == n:
                return


def _pools_of_rows(task: Task, settings: Mapping[str, Any]) -> list[tuple[tuple[str, ...], _Pool]]:
    """Rows by role: a part called test or validation feeds that split, the rest is cut."""
    parts = list(read_parts(task, settings))
    names = {part.split for part in parts}
    fixed = names & {"test", "validation"} if names - {"test", "validation"} else set()
    free = tuple(split for split in SPLITS if split not in fixed)
    pools = {names: _Pool() for names in [free, *((split,) for split in sorted(fixed))]}
    for part in parts:
        pool = pools[(part.split,) if part.split in fixed else free]
        pool.sources.append(part.origin)
        for number, row in enumerate(part.rows, start=1):
            try:
                pool.add(*task.to_sample(row))
            except Dropped as reason:
                pool.dropped[str(reason)] += 1
            except DataError as error:
                raise DataError(f"{part.where}, record {number}: {error}") from None
    return list(pools.items())
