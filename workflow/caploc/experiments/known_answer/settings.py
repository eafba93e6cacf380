"""What this experiment may be told in the configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from caploc import locator_settings
from caploc.catalogues.training import Architecture, Train
from caploc.settings import ID, Count, Natural, Positive, Rule, Share

__all__ = ["CheckNull", "CheckPlant", "Effects", "KnownAnswer", "MeasureEffects", "Nothing",
           "OfCapability", "Plant", "PlantModel", "Plants", "RankPlant", "ScorePlant",
           "Surgery"]  # fmt: skip

Layers = Annotated[tuple[Natural, ...], Rule(minItems=1, uniqueItems=True)]


@dataclass(frozen=True, slots=True)
class Plants:
    """Which plants are trained, with which seeds.

    Attributes:
        plants: ids of plants
        seeds: of the planted sets, the weights and the training text
    """

    plants: Annotated[tuple[str, ...], Rule(uniqueItems=True)]
    seeds: Annotated[tuple[Natural, ...], Rule(minItems=1, uniqueItems=True)]


@dataclass(frozen=True, slots=True)
class Plant:
    """What is planted in one model.

    Attributes:
        capabilities: task ids; each gets a set of neurons of its own
        share: share of the neurons of a layer that each capability gets
        layers: layers that hold planted neurons, from 0; null: all
        twice: capabilities that get as many neurons again, for a second copy
        decoys: share of the neurons of a layer for each kind of decoy; 0: none
    """

    capabilities: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)]
    share: Share = 0.02
    layers: Annotated[Layers | None, Rule()] = None
    twice: Annotated[tuple[str, ...], Rule(uniqueItems=True)] = ()
    decoys: Annotated[float, Rule(minimum=0, maximum=1)] = 0.004


@dataclass(frozen=True, slots=True)
class Surgery:
    """What a planted model must reach before it is used.

    Attributes:
        samples: test samples of every task
        draws: random sets of as many neurons of each layer
        accuracy: least share of right answers to a planted capability
        tolerance: most by which the share of right answers of another task, or of any task
            without a random set, may change
    """

    samples: Count = 200
    draws: Count = 20
    accuracy: Annotated[float, Rule(minimum=0, maximum=1)] = 0.6
    tolerance: Annotated[float, Rule(minimum=0, maximum=1)] = 0.02


@dataclass(frozen=True, slots=True)
class Subsets:
    """How the effects of planted neurons are measured.

    Attributes:
        samples: test samples
        subsets: random subsets of the planted set
    """

    samples: Count = 32
    subsets: Annotated[int, Rule(minimum=2)] = 8


@dataclass(frozen=True, slots=True)
class Effects(Subsets):
    """Which planted neurons are used.

    Attributes:
        least: a planted neuron is effective if its effect less two standard errors exceeds
            this, in nat per answer
    """

    least: Annotated[float, Rule(minimum=0)] = 0.01


Locator = Annotated[
    Any,
    Rule(
        **locator_settings.fitting(
            locator_settings.of_plants(),
            scores=True,
            text="a file in workflow/caploc/locators; settings of its score stand beside it",
        )
    ),
]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Checks in which nothing should be found.

    Attributes:
        replicates: replicates of the calibration
        draws: R, random sets beside the one that stands for the located mask
        levels: a in P(p <= a), multiples of 1 / (R + 1)
        calibration_samples: test samples that the effects of these sets are means over
        samples: samples to locate with and to test for the other checks
        sigma: threshold of their masks
    """

    replicates: Count = 400
    draws: Count = 99
    levels: Annotated[
        tuple[Annotated[float, Rule(exclusiveMinimum=0, exclusiveMaximum=1)], ...],
        Rule(minItems=1, uniqueItems=True),
    ] = (0.05, 0.1, 0.2)
    calibration_samples: Count = 2
    samples: Annotated[int, Rule(minimum=4)] = 200
    sigma: Positive = 3


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """Models in which it is known which neurons carry what, and how well locators find them.

    No part of the default run: `snakemake known_answer`, `known_answer_full`,
    `known_answer_tried`.

    Attributes:
        model: id of the model whose `architecture` and `train` planted models have; train.seed
            plays no part
        tasks: task ids that a planted model is tested with, planted ones among them; their
            plug-ins belong to train.mixture
        plants: what is planted, by id
        quick: what `snakemake known_answer` trains
        full: what `snakemake known_answer_full` trains
        tried: what `snakemake known_answer_tried` trains
        surgery: what a planted model must reach before it is used
        effects: which planted neurons are used
        locators: locators under test, by id, with their settings
        variants: other rankings of the same scores, by locator: each layer standardised first;
            only scores above the mean
        samples: samples of the split locate that locators read
        curve: fewer samples, to see how recovery depends on their number
        sigmas: thresholds of the masks
        nothing: checks in which nothing should be found
        batch_tokens: most tokens in one pass; memory and speed only
    """

    model: str = "planted"
    tasks: Annotated[tuple[str, ...], Rule(minItems=2, uniqueItems=True)] = (
        "calculations",
        "emotions",
        "code-writing",
        "reviews",
        "remarks",
    )
    plants: Annotated[dict[str, Plant], Rule(propertyNames={"pattern": ID})] = field(
        default_factory=dict
    )
    quick: Plants = field(default_factory=lambda: Plants((), (0,)))
    full: Plants = field(default_factory=lambda: Plants((), (0, 1, 2)))
    tried: Plants = field(default_factory=lambda: Plants((), (0,)))
    surgery: Surgery = field(default_factory=Surgery)
    effects: Effects = field(default_factory=Effects)
    locators: Annotated[dict[str, Locator], Rule(propertyNames={"pattern": ID})] = field(
        default_factory=dict
    )
    variants: dict[
        str, Annotated[tuple[Literal["per layer", "positive"], ...], Rule(uniqueItems=True)]
    ] = field(default_factory=dict)
    samples: Count = 200
    curve: Annotated[tuple[Count, ...], Rule(uniqueItems=True)] = (10, 30, 100)
    sigmas: Annotated[tuple[Positive, ...], Rule(minItems=1, uniqueItems=True)] = (3, 6, 12)
    nothing: Nothing = field(default_factory=Nothing)
    batch_tokens: Count = 8192


@dataclass(frozen=True, kw_only=True)
class OfPlant:
    """One planted model.

    Attributes:
        plant: id
        seed: of the plant, and of whatever a stage draws
    """

    plant: str
    seed: Natural


@dataclass(frozen=True, kw_only=True)
class OfCapability(OfPlant):
    """One capability of a planted model.

    Attributes:
        task: the capability whose neurons are wanted
    """

    task: str


@dataclass(frozen=True, kw_only=True)
class PlantModel(OfPlant):
    """What `plant_model` is told.

    Attributes:
        architecture: as in models.<id>.architecture
        train: as in models.<id>.train
        planting: what is planted
        plugins: plug-in of each planted capability
    """

    architecture: Architecture
    train: Train
    planting: Plant
    plugins: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class CheckPlant(OfPlant, Surgery):
    """What `check_plant` is told.

    Attributes:
        tasks: ids, in the order of the input `samples`
    """

    tasks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MeasureEffects(OfCapability, Subsets):
    """What `measure_effects` is told.

    Attributes:
        batch_tokens: most tokens in one pass
    """

    batch_tokens: Count


@dataclass(frozen=True, kw_only=True)
class ScorePlant(OfCapability):
    """What `score_plant` is told.

    Attributes:
        tasks: ids of the others, in the order of the input `others`
        neutral: whether neutral text is given
        locators: as in `KnownAnswer`
        samples: as in `KnownAnswer`
        curve: as in `KnownAnswer`
    """

    tasks: tuple[str, ...]
    neutral: bool
    locators: dict[str, Any]
    samples: Count
    curve: tuple[Count, ...]


@dataclass(frozen=True, kw_only=True)
class RankPlant(OfCapability):
    """What `rank_plant` is told.

    Attributes:
        sigmas: as in `KnownAnswer`
        variants: as in `KnownAnswer`
        least_effect: `least` of `Effects`
    """

    sigmas: tuple[float, ...]
    variants: dict[str, tuple[str, ...]]
    least_effect: float


@dataclass(frozen=True, kw_only=True)
class CheckNull(OfCapability, Nothing):
    """What `check_null` is told.

    Attributes:
        other: another planted capability, or another task
        batch_tokens: most tokens in one pass
    """

    other: str
    batch_tokens: Count


SECTIONS = {"known_answer": KnownAnswer}
