"""What this experiment may be told in the configuration."""

from dataclasses import dataclass
from typing import Annotated, Literal

from caploc.settings import Count, Positive, Rule, Seed
from caploc.stages.settings import Place

__all__ = ["Arms", "EnhanceTask", "Enhancement", "TabulateCrossEnhancement", "TabulateEnhancement"]


@dataclass(frozen=True, kw_only=True)
class Arms:
    """What trains, and how.

    Attributes:
        arms: what trains beside no training at all: located slices; as many random ones (same
            number in each layer, or from all layers); all but the located; the whole FFN; LoRA
            with as many values; scaled doubles located activations without training
        draws: random sets of neurons of each random arm
        seeds: orders of the training data of the arms that are not random
        part: weights of a neuron that train: rows of the first projections (in), column of the
            output projection (out), or both
        epochs: passes over the training samples after which an arm is tested, ascending
        batch: samples in a step
        rates: learning rates of AdamW; of several, those best on the validation split are
            tested: one for all arms, and one for each
        train_samples: first samples of the train split that are used; null: all
        test_samples: first samples of the test split that are used; null: all
        sets: which neurons of the headline mask are trained for other tasks (`cross`): all located
            (own), of each task as many as the smallest set has (equal), either without the
            neurons that every trained task located; each kind beyond own trains its arms once
            more
    """

    arms: Annotated[
        tuple[Literal["located", "layer", "uniform", "rest", "full", "lora", "scaled"], ...],
        Rule(uniqueItems=True),
    ] = ("located", "layer", "rest", "scaled")
    draws: Count = 3
    seeds: Count = 1
    part: Literal["both", "in", "out"] = "both"
    epochs: Annotated[tuple[Count, ...], Rule(minItems=1, uniqueItems=True)] = (1, 5, 10)
    batch: Count = 16
    rates: Annotated[tuple[Positive, ...], Rule(minItems=1, uniqueItems=True)] = (0.001,)
    train_samples: Annotated[int | None, Rule(type=["integer", "null"], minimum=1)] = None
    test_samples: Annotated[int | None, Rule(type=["integer", "null"], minimum=1)] = None
    sets: Annotated[
        tuple[Literal["own", "equal", "own-distinct", "equal-distinct"], ...],
        Rule(minItems=1, uniqueItems=True),
    ] = ("own",)


@dataclass(frozen=True, kw_only=True)
class Enhancement(Arms):
    """Train the slices of the located neurons, and others beside them (Table 2, Fig. 4).

    Attributes:
        tasks: task ids to train on, as far as they are in run.tasks; all of these if none is
        masks: mask ids whose neurons train, as far as they are in run.masks; all of these if
            none is
        cross: also test the headline mask's arms on every other task of the run
    """

    tasks: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    cross: bool = True


@dataclass(frozen=True, kw_only=True)
class EnhanceTask(Place, Arms):
    """Train the arms of one task and test them.

    Attributes:
        task: id
        method: id
        masks: ids
        targets: id and plugin of every task that is tested, the trained one first
        cross_mask: id of the mask whose arms are tested on the other targets; null: none
        sources: ids of the tasks that sets beyond `own` are made of
        seed: of orders and draws
        minimum: fewer samples are not computed
    """

    task: str
    method: str
    masks: tuple[str, ...]
    targets: tuple[dict[str, str], ...]
    cross_mask: str | None
    sources: tuple[str, ...]
    seed: Seed
    minimum: Count


@dataclass(frozen=True, slots=True)
class TabulateEnhancement:
    """Cells of all trained tasks.

    Attributes:
        sigmas: by mask id
        seed: of the bootstrap
    """

    sigmas: dict[str, float]
    seed: int


@dataclass(frozen=True, slots=True)
class TabulateCrossEnhancement:
    """Training on one task, tested on every task.

    Attributes:
        tasks: plugin and capability (or null) by id
        seed: of the bootstrap
    """

    tasks: dict[str, dict[str, str | None]]
    seed: int


SECTIONS = {"enhancement": Enhancement}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"enhancement": ("enhancement", "cross_enhancement")}
