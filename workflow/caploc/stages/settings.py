"""What several stages are told of a model, and of how its neurons are scored."""

from dataclasses import dataclass
from typing import Any

from caploc.settings import Seed

__all__ = ["Place", "Scored"]


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
class Scored(Place):
    """Score neurons by a method.

    Attributes:
        method_id: id of the method
        method: locator, and its settings
        seed: of locators that draw
    """

    method_id: str = ""
    method: dict[str, Any]
    seed: Seed
