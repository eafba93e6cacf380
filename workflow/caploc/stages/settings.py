"""What the stages from data to masks are told."""

from dataclasses import dataclass
from typing import Any

from caploc.settings import Count, Natural, Seed

__all__ = ["AggregateMixture", "AggregateScores", "FetchModel", "LocateFacts", "ShuffleAnswers"]


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Find a model and describe it.

    Attributes:
        model: id
        repo: on the hub; null: in a folder
        path: of a local folder; null: on the hub
        family: that the weights must be of; null: any
        revision: of the repository; null: the newest
        dtype: of the weights
        shape: what the configuration says of its size
        content: digest of the local folder, so that another content is fetched anew
    """

    model: str
    dtype: str
    repo: str | None = None
    path: str | None = None
    family: str | None = None
    revision: str | None = None
    shape: dict[str, Any] | None = None
    content: str = ""


@dataclass(frozen=True, slots=True)
class ShuffleAnswers:
    """The shuffled reference of a task.

    Attributes:
        task: id
        seed: of the order
    """

    task: str
    seed: int


@dataclass(frozen=True, slots=True)
class AggregateScores:
    """Average the samples of one task.

    Attributes:
        n_splits: random splits into halves
        min_samples: fewer have no halves
        seed: of the splits
        model: id
        task: id
        method: id
        n_per_half: samples of each half; null: half of all
        curve: sizes of halves; null: 1, 2, 5, 10, ...
    """

    n_splits: int
    min_samples: int
    seed: int
    model: str | None = None
    task: str | None = None
    method: str | None = None
    n_per_half: int | None = None
    curve: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class AggregateMixture(AggregateScores):
    """Average a mixture of tasks.

    Attributes:
        n_splits: as in `AggregateScores`
        min_samples: as in `AggregateScores`
        seed: as in `AggregateScores`
        model: as in `AggregateScores`
        task: `mixture`
        method: as in `AggregateScores`
        n_per_half: as in `AggregateScores`
        curve: as in `AggregateScores`
        tasks: ids
    """

    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocateFacts:
    """What `locate_facts` is told.

    Attributes:
        model: id
        dtype: in which it computes
        device: on which it computes
        facts: id
        locator: a file in workflow/caploc/locators
        locate: settings of its function of this name
        choose: settings of its function `located`
        rewrites: most rewrites of each kind that are located
        prompts: prompts of a fact that are located whatever their kind
        shard: number, from 0
        shard_size: facts in a shard
        seed: of locators that draw
    """

    model: str
    dtype: str
    device: str
    facts: str
    locator: str
    locate: dict[str, Any]
    choose: dict[str, Any]
    rewrites: Count
    prompts: Count
    shard: Natural
    shard_size: Count
    seed: Seed
