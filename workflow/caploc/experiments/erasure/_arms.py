"""Which sets of neurons an erasure experiment compares, each with its random controls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caploc.experiments.erasure.settings import EraseNeurons
from caploc.measures.random_sets import draw

__all__ = ["Arm", "erasure_arms", "strongest", "with_controls"]

Mode = Literal["all", "answer", "mean"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One set of neurons and how it is silenced.

    Attributes:
        mask: id of the mask rule it follows; empty for the unchanged model and the dose curve.
        arm: base, located, positive, negative, or the name of another locator.
        mode: ``all`` positions, ``answer`` positions, or ``mean`` in place of 0.
        neurons: (layer, neuron) True where silenced.
        share: dose, as a fraction of all neurons; None outside the dose curve.
        control: empty for the arm itself, else the kind of random set that stands beside it.
        draw: number of that random set.
        source: task whose mask it is, where tasks are crossed.
    """

    mask: str
    arm: str
    mode: Mode
    neurons: NDArray[np.bool_]
    share: float | None = None
    control: str = ""
    draw: int = 0
    source: str = ""

    def labels(self) -> dict[str, Any]:
        """All but the neurons."""
        names = ("mask", "arm", "mode", "share", "control", "draw", "source")
        return {name: getattr(self, name) for name in names}


def strongest(scores: ArrayLike, n: int) -> NDArray[np.bool_]:
    """The n neurons that lie farthest from the mean score, as the masks judge it.

    Args:
        scores: (layer, neuron) mean scores.
        n: how many, 0 to all.
    """
    grid = np.asarray(scores, dtype=np.float64)
    return _largest(grid - grid.mean(), n)


def with_controls(
    arm: Arm, sizes: ArrayLike, controls: Mapping[str, int], seed: str
) -> Iterator[Arm]:
    """An arm, then its random controls.

    Args:
        arm: what is compared; an arm without neurons has no controls.
        sizes: (layer, neuron) for the matched control.
        controls: draws of each kind.
        seed: names the run and the task; equal sets have equal draws in every mode.

    Raises:
        ValueError: the set is so large that too few neurons are left to draw from.
    """
    yield arm
    if not arm.neurons.any():
        return
    for control, n_draws in controls.items():
        for k in range(n_draws):
            name = f"{seed}/{arm.source}/{arm.mask}/{arm.arm}/{arm.share}/{control}/{k}"
            neurons = draw(arm.neurons, control, crc32(name.encode()), sizes)  # type: ignore[arg-type]
            yield replace(arm, neurons=neurons, control=control, draw=k)


def erasure_arms(
    masks: Mapping[str, NDArray[np.bool_]],
    headline: str,
    scores: NDArray[np.float64],
    others: Mapping[str, NDArray[np.float64]],
    sizes: NDArray[np.float64],
    settings: EraseNeurons,
    seed: str,
) -> tuple[list[Arm], list[tuple[Arm, str]]]:
    """All arms of one task, and which of them have no control of a kind.

    Args:
        masks: located sets by mask id.
        headline: id of the mask that is tested, if it is among them.
        scores: (layer, neuron) mean scores that the masks come from.
        others: scores of other locators by name; the largest count as located.
        sizes: (layer, neuron), see `controls`.
        settings: how many draws, which doses and modes.
        seed: names the run and the task.

    Returns:
        The arms, each before its controls; and arms, named like the control that they lack, with
        the reason: too few neurons are left outside a large set.
    """
    few = settings.exploratory_draws
    found = [Arm("", "base", "all", np.zeros(scores.shape, dtype=np.bool_))]

    missing: list[tuple[Arm, str]] = []

    def add(arm: Arm, **controls: int) -> None:
        found.append(arm)
        for control, n_draws in controls.items():
            try:
                found.extend([*with_controls(arm, sizes, {control: n_draws}, seed)][1:])
            except ValueError as reason:
                missing.append((replace(arm, control=control), str(reason)))

    for mask, neurons in masks.items():
        most = settings.draws if mask == headline else few
        add(Arm(mask, "located", "all", neurons), matched=most, layer=few, uniform=few)
    if headline in masks:
        located = masks[headline]
        for mode in settings.modes:
            if mode != "all":
                add(Arm(headline, "located", mode, located), matched=few)
        above = scores > scores.mean()
        add(Arm(headline, "positive", "all", located & above), matched=few)
        add(Arm(headline, "negative", "all", located & ~above), matched=few)
        for name, other in others.items():
            add(Arm(headline, name, "all", _largest(other, int(located.sum()))))
    for share in settings.dose:
        n = max(1, round(share * scores.size))
        add(Arm("", "located", "all", strongest(scores, n), share), layer=settings.dose_draws)
        if "activation-size" in others:
            size = _largest(others["activation-size"], n)
            add(Arm("", "activation-size", "all", size, share))
    return found, missing


def _largest(scores: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    found = np.zeros(scores.size, dtype=np.bool_)
    # Signed scores count by their distance from 0; sizes are never negative.
    found[np.argsort(-np.abs(scores).reshape(-1), kind="stable")[:n]] = True
    return found.reshape(scores.shape)
