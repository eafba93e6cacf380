"""What this experiment may be told in the configuration."""

from dataclasses import dataclass
from typing import Annotated, Any

from caploc import locator_settings
from caploc.settings import Count, Natural, Rule, Seed, Share

__all__ = ["Decoupling", "LocatePairs", "MeasureDecoupling", "PreparePairs"]


@dataclass(frozen=True, slots=True)
class Decoupling:
    """Paired samples, one main part under two tasks: which knowledge neurons do they share?

    The primary numbers are the effects of main part and of task in the matched
    comparison. Beside these keys stands a section for the locator, ``kn``.

    Attributes:
        families: files in workflow/caploc/tasks whose samples come in pairs
        pairs: pairs in each family; every pair is four prompts
        shard_size: pairs in one job of the locator
        minimum: fewer usable pairs than this: 'not computed'
        shares: the printed formula does not say which neurons count: besides those of `kn`,
            these shares of all neurons with the largest scores
        draws: random sets in place of each located set
        orders: random orders in which sets are intersected one after another
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


@dataclass(frozen=True, slots=True)
class PreparePairs:
    """What `prepare_pairs` is told.

    Attributes:
        pairs: a task whose samples come in pairs, see `caploc.samples.paired`
        n: pairs to draw
        seed: of the draw
    """

    pairs: str
    n: Annotated[int, Rule(minimum=2)]
    seed: Seed


@dataclass(frozen=True, slots=True)
class LocatePairs:
    """What `locate_pairs` is told.

    Attributes:
        model: id
        family: of the model
        dtype: in which it computes
        device: on which it computes
        pairs: as in `PreparePairs`
        shard: number, from 0
        shard_size: as in `Decoupling`
        kn: as in `Decoupling`, with the budget ``memory_mib`` of a model that has one
        seed: of sampled answer positions
    """

    model: str
    family: str
    dtype: str
    device: str
    pairs: str
    shard: Natural
    shard_size: Count
    kn: dict[str, Any]
    seed: Seed


@dataclass(frozen=True, slots=True)
class MeasureDecoupling:
    """What `measure_decoupling` is told.

    Attributes:
        model: id
        pairs: as in `PreparePairs`
        ratio: a unit is located from this share of the largest score of the prompt
        shares: as in `Decoupling`
        draws: as in `Decoupling`
        orders: as in `Decoupling`
        minimum: as in `Decoupling`
        seed: of draws, orders and intervals
    """

    model: str
    pairs: str
    ratio: Share
    shares: tuple[Share, ...]
    draws: Count
    orders: Count
    minimum: int
    seed: Seed


SECTIONS = {"decoupling": locator_settings.with_sections(Decoupling, ["kn"], ("locate", "located"))}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"decoupling": ("decoupling",)}
