"""What this experiment may be told in the configuration."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from caploc import locator_settings
from caploc.settings import Count, Natural, Rule, Seed
from caploc.stages.settings import Place

__all__ = [
    "CrossErase",
    "CrossErasure",
    "EraseNeurons",
    "Erasure",
    "Silencing",
    "TabulateCrossErasure",
    "TabulateCrossOverlap",
    "TabulateErasure",
    "TabulateExamples",
    "WeighNeurons",
]

# Ids have hyphens, files underscores.
_Locator = Annotated[str, Rule(enum=[n.replace("_", "-") for n in locator_settings.of_plants()])]


@dataclass(frozen=True, kw_only=True)
class Silencing:
    """How the neurons of a task are silenced.

    Attributes:
        samples: test samples whose gold answer's log-probability is taken, for every set of
            neurons
        draws: matched random sets beside the headline mask; p is never below 1 / (draws + 1)
        exploratory_draws: random sets of every other comparison
        answered: test samples that are answered by generation
        answered_draws: matched random sets that answer by generation, for every mask
        answered_rows: prompts generated together; memory and speed only
        modes: also silence only where an answer token is predicted, or put the mean over
            neutral text in place of 0; the headline is `all`
        locators: other ways to locate, at the same number of neurons: files in
            workflow/caploc/locators, their _ as -, with their default settings
        dose: shares of all neurons silenced in the dose-response curve, ascending
        dose_draws: random sets beside each dose, the same number in each layer
        shots: worked examples from the split train in front of every question; 0 as in the
            paper
        batch_tokens: tokens (rows x positions) in one pass; memory and speed only, larger on an
            accelerator
    """

    samples: Count = 200
    draws: Count = 199
    exploratory_draws: Count = 99
    answered: Count = 200
    answered_draws: Count = 5
    answered_rows: Count = 256
    modes: Annotated[tuple[Literal["all", "answer", "mean"], ...], Rule(uniqueItems=True)] = (
        "all",
        "answer",
        "mean",
    )
    locators: Annotated[tuple[_Locator, ...], Rule(uniqueItems=True)] = (
        "activation-size",
        "gradient-activation",
        "task-neurons",
    )
    dose: Annotated[
        tuple[Annotated[float, Rule(maximum=0.5, exclusiveMinimum=0)], ...], Rule(uniqueItems=True)
    ] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
    dose_draws: Count = 5
    shots: Annotated[tuple[Natural, ...], Rule(uniqueItems=True)] = (0,)
    batch_tokens: Count = 2048


@dataclass(frozen=True, kw_only=True)
class Erasure(Silencing):
    """Silence located neurons and random ones.

    Tested: mask run.headline_mask, control matched, log-probability of the answer, `draws` random
    sets, Holm over all cells of the table. It stands second to the primary test, which is that of
    `cross_erasure`; every other p is exploratory.

    Attributes:
        weighing_samples: samples of the split locate by which the locators, and the sizes for
            matched sets, are averaged
    """

    weighing_samples: Count = 200


@dataclass(frozen=True, kw_only=True)
class CrossErasure:
    """Silence the headline mask of each task and answer every other one (Fig. 4).

    Also how far the masks coincide. The primary test, one of each model and method: do the neurons
    of a data set hurt it more than as many neurons of each other data set do (sets `equal`)?

    Attributes:
        sets: which neurons are silenced: all located (own), of each task as many as the smallest
            set has (equal), either without the neurons that every task located
        samples: test samples of each task, the same for every set of neurons
        draws: matched random sets beside each set; no p is below 1 / (draws + 1)
        batch_tokens: tokens (rows x positions) in one pass; memory and speed only, larger on an
            accelerator
    """

    sets: Annotated[
        tuple[Literal["own", "equal", "own-distinct", "equal-distinct"], ...],
        Rule(minItems=1, uniqueItems=True),
    ] = ("own", "equal", "own-distinct", "equal-distinct")
    samples: Count = 100
    draws: Annotated[int, Rule(minimum=2)] = 99
    batch_tokens: Count = 2048


@dataclass(frozen=True, kw_only=True)
class WeighNeurons(Place):
    """What `weigh_neurons` is told.

    Attributes:
        tasks: ids, in the order of the input `samples`
        neutral: id of the text without a capability, null for none
        samples: as `weighing_samples` in `Erasure`
        locators: ids; by the scores of activation-size, one of them, controls are matched
        seed: of locators that draw
    """

    tasks: tuple[str, ...]
    neutral: str | None
    samples: Count
    locators: tuple[str, ...]
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class EraseNeurons(Place, Silencing):
    """Silence the neurons of one task.

    Attributes:
        task: id
        plugin: of the task
        labels: the task's own; null: those of the plug-in
        method: id
        masks: ids
        headline: id of the mask that is tested
        neutral: id of the task of neutral text, or null
        seed: of draws
    """

    task: str
    plugin: str
    labels: tuple[str, ...] | None
    method: str
    masks: tuple[str, ...]
    headline: str
    neutral: str | None
    seed: Seed


@dataclass(frozen=True, slots=True)
class TabulateErasure:
    """Put the files of all tasks together.

    Attributes:
        headline: id of the mask that is tested
        seed: of the bootstrap
        minimum_samples: fewer have no numbers but the reason
        sigmas: by mask id
    """

    headline: str
    seed: int
    minimum_samples: int
    sigmas: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class CrossErase(Place, CrossErasure):
    """Answer one data set without the neurons of each.

    Attributes:
        task: id of the one that is answered
        method: id
        tasks: ids of those whose neurons are silenced
        mask: id
        seed: of draws
    """

    task: str
    method: str
    tasks: tuple[str, ...]
    mask: str
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class TabulateCrossOverlap:
    """Overlap of the sets of different data sets.

    Attributes:
        tasks: id, plugin and capability (or null) of each, in the order of the page
        mask: id
        sigma: of the mask
        seed: of draws
    """

    tasks: tuple[dict[str, Any], ...]
    mask: str
    sigma: float
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class TabulateExamples:
    """Answers to the same questions before and after silencing.

    Attributes:
        headline: id of the mask whose neurons are silenced
        questions: most questions of a task
    """

    headline: str
    questions: Count


@dataclass(frozen=True, kw_only=True)
class TabulateCrossErasure(TabulateCrossOverlap):
    """Neurons of one data set silenced, another one answered.

    Attributes:
        minimum_samples: fewer have no numbers but the reason
    """

    minimum_samples: int


SECTIONS = {"erasure": Erasure, "cross_erasure": CrossErasure}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"erasure": ("erasure", "examples"), "cross_erasure": ("cross_erasure", "cross_overlap")}
