"""What a run does with what exists."""

from dataclasses import dataclass
from typing import Annotated, Literal

from caploc.settings import Count, Id, Natural, Rule, Seed

__all__ = ["Pair", "RunSettings"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tasks that share words or a capability, to tell them apart.

    Attributes:
        name: how the report calls the pair
        a: task id
        b: task id
        shares: what the two tasks have in common
    """

    name: str
    a: str
    b: str
    shares: Literal["words", "capability"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What this run does. Lists replace those of the file they are laid over.

    Attributes:
        name: name of the run; everything goes to results/<name>
        models: model ids
        tasks: task ids
        methods: method ids
        masks: mask ids
        headline_mask: mask id of Table 1 and of the maps; one of run.masks
        title: heading of the report
        seed: seed of splits, shuffles and training
        neutral: task id of text without a capability, the reference for agreement; null for
            none
        shuffled: also score every task with its answers shuffled among its samples
        mixture: also take halves of a random mixture of all tasks
        experiments: what is done with the masks, beside their agreement
        splits: number of random splits into two halves
        shard_size: samples in one attribution job; 5 to 15 minutes of work is a good size
        reuse: names of other runs: a finished file of theirs is copied where settings, code and
            inputs are equal, so that it is not computed again
        converged_samples: samples of each task that are scored again by a converged path rule,
            to see what the rule changes in the mask; 0 for none
        minimum_samples: fewer usable samples than this: 'not computed'
        pairs: pairs of tasks that separate shared words from shared capability
    """

    name: Id
    models: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    tasks: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    methods: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    masks: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    headline_mask: str
    title: str = ""
    seed: Seed = 0
    neutral: Annotated[str | None, Rule(type=["string", "null"])] = None
    shuffled: bool = True
    mixture: bool = True
    experiments: Annotated[tuple[str, ...], Rule(uniqueItems=True)] = ()
    splits: Annotated[int, Rule(minimum=2, maximum=100)] = 5
    shard_size: Count = 500
    reuse: Annotated[tuple[Id, ...], Rule(uniqueItems=True)] = ()
    converged_samples: Natural = 40
    minimum_samples: Annotated[int, Rule(minimum=2)] = 20
    pairs: tuple[Pair, ...] = ()
