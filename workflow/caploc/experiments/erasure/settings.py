"""What this experiment may be told in the configuration."""

from dataclasses import dataclass
from typing import Annotated, Literal

from caploc import locator_settings
from caploc.settings import Count, Natural, Rule, Seed

__all__ = ["CrossErasure", "Erasure", "WeighNeurons"]

# Ids have hyphens, files underscores.
_Locator = Annotated[str, Rule(enum=[n.replace("_", "-") for n in locator_settings.of_plants()])]


@dataclass(frozen=True, slots=True)
class Erasure:
    """Silence located neurons and random ones.

    The primary test: mask run.headline_mask, control matched, log-probability of the answer,
    `draws` random sets, Holm over all cells of the table; every other p is exploratory.

    Attributes:
        samples: test samples whose gold answer's log-probability is taken, for every set of
            neurons
        draws: random sets of the primary test; its p is never below 1 / (draws + 1)
        exploratory_draws: random sets of every other comparison
        answered: test samples that are answered by generation
        answered_draws: matched random sets that answer by generation, for every mask
        answered_rows: prompts generated together; memory and speed only
        modes: also silence only where an answer token is predicted, or put the mean over
            neutral text in place of 0; the headline is `all`
        locators: other ways to locate, at the same number of neurons: files in
            workflow/caploc/locators, their _ as -, with their default settings
        weighing_samples: samples of the split locate by which these, and the sizes for matched
            sets, are averaged
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
    weighing_samples: Count = 200
    dose: Annotated[
        tuple[Annotated[float, Rule(maximum=0.5, exclusiveMinimum=0)], ...], Rule(uniqueItems=True)
    ] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
    dose_draws: Count = 5
    shots: Annotated[tuple[Natural, ...], Rule(uniqueItems=True)] = (0,)
    batch_tokens: Count = 2048


@dataclass(frozen=True, slots=True)
class CrossErasure:
    """Silence the headline mask of each task and answer every other one (Fig. 4).

    Also how far the masks coincide; once with each mask, once with equally many neurons.

    Attributes:
        samples: test samples of each task, the same for every set of neurons
        draws: matched random sets beside each set; no p is below 1 / (draws + 1)
        batch_tokens: tokens (rows x positions) in one pass; memory and speed only, larger on an
            accelerator
    """

    samples: Count = 100
    draws: Annotated[int, Rule(minimum=2)] = 99
    batch_tokens: Count = 2048


@dataclass(frozen=True, slots=True)
class WeighNeurons:
    """What `weigh_neurons` is told.

    Attributes:
        model: id
        family: of the model
        dtype: in which it computes
        device: on which it computes
        tasks: ids, in the order of the input `samples`
        neutral: id of the text without a capability, null for none
        samples: as `weighing_samples` in `Erasure`
        locators: ids; by the scores of activation-size, one of them, controls are matched
        seed: of locators that draw
    """

    model: str
    family: str
    dtype: str
    device: str
    tasks: tuple[str, ...]
    neutral: str | None
    samples: Count
    locators: tuple[str, ...]
    seed: Seed


SECTIONS = {"erasure": Erasure, "cross_erasure": CrossErasure}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"erasure": ("erasure",), "cross_erasure": ("cross_erasure", "cross_overlap")}
