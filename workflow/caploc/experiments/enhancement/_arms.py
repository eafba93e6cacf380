"""Arms of the enhancement experiment: which weights train beside the located ones.

    located   slices of the located neurons
    layer     slices of as many neurons, drawn outside the mask, the same number in each layer
    uniform   slices of as many neurons, drawn outside the mask from all layers
    rest      slices of every neuron outside the mask (the paper's "w/o located")
    full      slices of every neuron: the whole FFN
    lora      low-rank adapters of the FFN with nearly as many trained values as `located`
    scaled    nothing trains; the activation of the located neurons is doubled
    none      nothing happens

A *run* of an arm is one random draw or, for an arm without one, one order of the training data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.enhancement._low_rank import LowRank
from caploc.interventions.slices import Part, Slices
from caploc.measures.random_sets import Control, draw
from caploc.models.language_model import LanguageModel

__all__ = ["CHOICE", "DRAWN", "TRAINED", "Arm", "chosen_neurons", "trainable"]

DRAWN: dict[str, Control] = {"layer": "layer", "uniform": "uniform"}
TRAINED = ("located", "layer", "uniform", "rest", "full", "lora")
CHOICE = -1
"""Run of a drawn arm that only chooses its learning rate and is never tested."""
_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing to do to the model.

    Attributes:
        kind: name of the arm.
        mask: id of the mask it refers to; empty for `full` and `none`, which need none.
        run: number of the draw or of the data order, from 0, or `CHOICE`.
        rate: learning rate; None where nothing trains.
    """

    kind: str
    mask: str = ""
    run: int = 0
    rate: float | None = None

    @property
    def name(self) -> str:
        """Name of its files."""
        run = "choice" if self.run == CHOICE else str(self.run)
        rate = "" if self.rate is None else f"-{self.rate:g}"
        return f"{self.mask or 'all'}-{self.kind}-{run}{rate}"


def chosen_neurons(arm: Arm, located: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Neurons whose slices an arm trains.

    Args:
        arm: any trained arm but `lora`.
        located: (layer, neuron) True where located.
        seed: of the experiment; draws of different runs differ.

    Raises:
        ValueError: too few neurons outside the located ones.
    """
    if arm.kind in DRAWN:
        run = _DRAWS - 1 if arm.run == CHOICE else arm.run
        return draw(located, DRAWN[arm.kind], seed * _DRAWS + run)
    return {"located": located, "rest": ~located, "full": np.ones_like(located)}[arm.kind]


def trainable(
    lm: LanguageModel, arm: Arm, located: NDArray[np.bool_], part: Part, seed: int
) -> Slices | LowRank:
    """What trains in an arm.

    Args:
        lm: frozen model.
        arm: one of `TRAINED`.
        located: (layer, neuron) True where located, at least one neuron (any for `full`).
        part: of the slices.
        seed: of draws and of adapters.

    Raises:
        ValueError: too few neurons outside the located ones.
        DataError: an empty mask, or a missing package.
    """
    if arm.kind != "lora":
        return Slices(lm, chosen_neurons(arm, located, seed), part)
    per_layer = located.sum(axis=1)
    order = [int(i) for i in np.argsort(-per_layer, kind="stable")]
    return LowRank(lm, Slices(lm, located, part).n_trained, order, seed * _DRAWS + arm.run)
