"""Which sets of neurons one task trains: its masks, and sets made of the masks of all tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caploc.experiments.enhancement.settings import EnhanceTask
from caploc.files.masks import read_located, read_usable
from caploc.measures.crossed_sets import crossed_name, crossed_sets

__all__ = ["crossed_masks", "own_masks"]


def own_masks(
    names: Sequence[str], paths: Sequence[Path]
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str]]:
    """Masks that can be used, and why the others cannot."""
    masks, reasons = read_usable(names, paths)
    missing = {name: f"not computed: {reason}" for name, reason in reasons.items()}
    missing |= {name: "empty mask" for name, mask in masks.items() if not mask.any()}
    return {name: mask for name, mask in masks.items() if name not in missing}, missing


def crossed_masks(
    told: EnhanceTask, paths: Sequence[Path]
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str]]:
    """Sets of the task beyond its own mask, by the name in the answers, and why others are not."""
    kinds = [kind for kind in told.sets if kind != "own"]
    if not kinds or told.cross_mask is None:
        return {}, {}
    located, reasons = read_located(told.sources, paths)
    sets = crossed_sets(located) if located else {}
    found, missing = {}, {}
    for kind in kinds:
        name = crossed_name(told.cross_mask, kind)
        if told.task in reasons:
            missing[name] = f"not computed: {reasons[told.task]}"
        elif kind not in sets:
            missing[name] = "not computed: no neuron is common to all data sets"
        elif not sets[kind][told.task].any():
            missing[name] = "empty mask"
        else:
            found[name] = sets[kind][told.task]
    return found, missing
