"""What the stages from data to masks are told."""

from dataclasses import dataclass
from typing import Any

from caploc.settings import Count, Natural, Positive, Seed

__all__ = [
    "AggregateMixture",
    "AggregateScores",
    "AttributeShard",
    "BuildMask",
    "EvaluateBase",
    "FetchModel",
    "LocateFacts",
    "Place",
    "PrepareFacts",
    "PrepareSamples",
    "RecallFacts",
    "ScoreConverged",
    "ShuffleAnswers",
    "TrainModel",
    "Training",
]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A model, and where it computes.

    Attributes:
        model: id
        family: that the weights must be of; null: any
        dtype: in which it computes
        device: on which it computes; null: the processor
    """

    model: str
    family: str | None = None
    dtype: str = "float32"
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where data come from, as in the configuration.

    Attributes:
        plugin: a file in workflow/caploc/tasks or facts
        repo: on the hub, instead of the plug-in's own
        revision: of the repository
        files: local copies instead of the hub
        format: of the files
        columns: name in the file by the name that the plug-in expects
        content: digest of each of the files by its name, so that an edit counts as a setting
        seed: of what is drawn
    """

    plugin: str
    repo: str | None = None
    revision: str | None = None
    files: Any = None
    format: str | None = None
    columns: dict[str, str] | None = None
    content: dict[str, str] | None = None
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class PrepareSamples(_Source):
    """Make the splits of a task.

    Attributes:
        task: id
        samples: wanted, by split
        header: column names of a file without a header line
        labels: words for label numbers
        prompt: template
        answer: template
    """

    task: str
    samples: dict[str, Count]
    header: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    prompt: str | None = None
    answer: str | None = None


@dataclass(frozen=True, kw_only=True)
class PrepareFacts(_Source):
    """Choose the facts of a run.

    Attributes:
        facts: id
        n: facts drawn from the usable ones
    """

    facts: str
    n: Count


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is trained.

    Attributes:
        steps: of the optimiser
        batch: sequences in a step
        learning_rate: at its peak
        warmup: steps of linear warm-up
        mixture: shares of the training sequences by generated task
    """

    steps: Count
    batch: Count
    learning_rate: Positive
    warmup: Natural
    mixture: dict[str, Positive]


@dataclass(frozen=True, slots=True)
class TrainModel:
    """Train the embedded model.

    Attributes:
        model: id
        seed: of the weights and the training text
        architecture: sizes, see `caploc.training.optimisation.Architecture`
        train: how
    """

    model: str
    seed: Seed
    architecture: dict[str, Any]
    train: Training


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Find a model and describe it.

    Attributes:
        model: id
        repo: on the hub
        path: of a local folder
        gguf: GGUF file: path, or name in `repo` or `package`
        package: installed, holds the GGUF file
        family: that the weights must be of; null: any
        revision: of the repository; null: the newest
        dtype: of the weights
        shape: what the configuration says of its size
        content: digest of the local folder or file, or version of the package, so that another
            content is fetched anew
    """

    model: str
    dtype: str
    repo: str | None = None
    path: str | None = None
    gguf: str | None = None
    package: str | None = None
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
        task: `mixture`
        tasks: ids
    """

    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildMask:
    """Apply a mask rule, see `caploc.measures.masks.outliers`.

    Attributes:
        sigma: threshold, in units of the dispersion
        dispersion: std or var
        per_layer: whether each layer is judged by its own mean
        sign: which side of the mean counts
        model: id
        task: id
        method: id
        mask: id
    """

    sigma: Positive
    dispersion: str = "std"
    per_layer: bool = False
    sign: str = "both"
    model: str | None = None
    task: str | None = None
    method: str | None = None
    mask: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluateBase(Place):
    """Let a model answer the test samples of a task.

    Attributes:
        task: id
        plugin: a file in workflow/caploc/tasks
        batch: prompts at once
    """

    task: str
    plugin: str
    batch: Count = 64


@dataclass(frozen=True, kw_only=True)
class _Scored(Place):
    """Score neurons by a method.

    Attributes:
        method_id: id of the method
        method: locator, and its settings
        seed: of locators that draw
    """

    method_id: str = ""
    method: dict[str, Any]
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class AttributeShard(_Scored):
    """Score one shard of the samples of a task.

    Attributes:
        task: id
        shard: number, from 0
        shard_size: samples in a shard
    """

    task: str
    shard: Natural
    shard_size: Count


@dataclass(frozen=True, kw_only=True)
class ScoreConverged(_Scored):
    """Score a few samples of every task by a converged path rule.

    Attributes:
        tasks: ids
        n_samples: of each task
    """

    tasks: tuple[str, ...]
    n_samples: Natural


@dataclass(frozen=True, kw_only=True)
class RecallFacts(Place):
    """Ask a model for its facts.

    Attributes:
        facts: id
        rewrites: most rewrites of each kind
        refine_prompts: prompts of a fact that knowledge neurons are refined over
        own_rewrites: whether the model rewrites prompts itself
        seed: of the choice of other subjects
    """

    facts: str
    rewrites: Count
    refine_prompts: Count
    own_rewrites: bool
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class LocateFacts(Place):
    """Locate the prompts of one shard of facts.

    Attributes:
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

    facts: str
    locator: str
    locate: dict[str, Any]
    choose: dict[str, Any]
    rewrites: Count
    prompts: Count
    shard: Natural
    shard_size: Count
    seed: Seed
