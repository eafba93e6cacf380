"""What the stages from data to masks are told: one class a stage."""

from dataclasses import dataclass
from typing import Any

from caploc.settings import Count, Natural, Seed

__all__ = ["LocateFacts"]


@dataclass(frozen=True, slots=True)
class LocateFacts:
    """What `locate_facts` is told.

    Attributes:
        model: id
        dtype: in which it computes
        device: on which it computes
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

    model: str
    dtype: str
    device: str
    facts: str
    locator: str
    locate: dict[str, Any]
    choose: dict[str, Any]
    rewrites: Count
    prompts: Count
    shard: Natural
    shard_size: Count
    seed: Seed
