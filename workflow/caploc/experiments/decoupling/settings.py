"""What this experiment may be told in the configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from caploc.settings import Count, Rule, Share

__all__ = ["Decoupling", "Kn"]


@dataclass(frozen=True, slots=True)
class Kn:
    """Knowledge neurons.

    Attributes:
        rule: path points and weights
        steps: S of the path rule
        max_answer_tokens: longer answers: a seeded uniform sample of this many answer positions
        batch_rows: rows in flight; bounds memory
        ratio: located from this share of the largest score of the prompt
    """

    rule: Literal["inclusive", "linspace", "left", "right", "midpoint", "gauss-legendre"] = (
        "linspace"
    )
    steps: Count = 20
    max_answer_tokens: Count = 64
    batch_rows: Count = 4096
    ratio: Share = 0.2


@dataclass(frozen=True, slots=True)
class Decoupling:
    """Paired samples, one main part under two tasks: which knowledge neurons do they share?

    The primary numbers are the effects of main part and of task in the matched
    comparison.

    Attributes:
        families: files in workflow/caploc/tasks whose samples come in pairs
        pairs: pairs in each family; every pair is four prompts
        shard_size: pairs in one job of the locator
        minimum: fewer usable pairs than this: 'not computed'
        shares: the printed formula does not say which neurons count: besides those of `kn`,
            these shares of all neurons with the largest scores
        draws: random sets in place of each located set
        orders: random orders in which sets are intersected one after another
        kn: knowledge neurons
    """

    families: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)] = (
        "calculations",
        "remarks",
    )
    pairs: Annotated[int, Rule(minimum=2)] = 1000
    shard_size: Count = 250
    minimum: Annotated[int, Rule(minimum=2)] = 20
    shares: Annotated[tuple[Share, ...], Rule(uniqueItems=True)] = (0.05, 0.1, 0.2, 0.3)
    draws: Count = 20
    orders: Count = 20
    kn: Kn = field(default_factory=Kn)


SECTIONS = {"decoupling": Decoupling}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"decoupling": ("decoupling",)}
