"""Rules that turn scores into sets of neurons."""

from dataclasses import dataclass
from typing import Literal

from caploc.settings import Positive

__all__ = ["MaskEntry"]


@dataclass(frozen=True, slots=True)
class MaskEntry:
    """A rule that turns mean scores into a set of located neurons.

    Attributes:
        sigma: located where abs(score - mean) > sigma * dispersion
        dispersion: std; var as printed in the paper passes nearly every neuron
        per_layer: mean and dispersion of each layer instead of all together
        sign: which side of the mean counts
        against: others takes from each score the largest, in size, that another task of the run
            gives the neuron (no task that a pair says shares the capability); then only scores
            above the mean count
    """

    sigma: Positive
    dispersion: Literal["std", "var"] = "std"
    per_layer: bool = False
    sign: Literal["both", "positive", "negative"] = "both"
    against: Literal["none", "others"] = "none"
