"""What this experiment may be told in the configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from caploc import locator_settings
from caploc.settings import Count, Rule, Seed, Share

__all__ = [
    "Averaged", "Compared", "Fidelity", "MeasureFidelity", "MeasureKnOnTasks", "TabulateTracing",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Do the locators of single facts find the same units for a rewritten prompt?.

    Beside these keys stands a section for each locator, with its settings.

    Attributes:
        facts: ids of sets of facts
        locators: files in workflow/caploc/locators that locate single facts
        rewrites: most rewrites of each kind (relation template, paraphrase of the data set)
            that each fact is compared with
        own_rewrites: also let the studied model rewrite the prompts, where it can
        partners: most other facts that each fact is compared with in each control
        n_draws: random sets of equal size for each fact and rewrite
        minimum: fewer facts than this: 'not computed'
        shard_size: facts in one job of a locator; 5 to 15 minutes of work is a good size
        refine_prompts: prompts of a fact that locators which refine (kn) are refined over;
            refinement needs 3
        task_samples: samples of each task whose knowledge neurons are compared
    """

    facts: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)] = ("invented",)
    locators: Annotated[
        tuple[Annotated[str, Rule(enum=locator_settings.of_facts())], ...],
        Rule(minItems=1, uniqueItems=True),
    ] = ("kn", "kn_activation", "rome", "circuit")
    rewrites: Count = 1
    own_rewrites: bool = True
    partners: Count = 5
    n_draws: Count = 20
    minimum: Annotated[int, Rule(minimum=2)] = 10
    shard_size: Count = 100
    refine_prompts: Count = 4
    task_samples: Count = 60


@dataclass(frozen=True)
class Averaged:
    """What means over facts are told.

    Attributes:
        minimum: as in `Fidelity`
        seed: of intervals, partners and draws
    """

    minimum: int
    seed: Seed


@dataclass(frozen=True)
class Compared(Averaged):
    """What comparisons of single facts or samples are told, beside `Averaged`.

    Attributes:
        model: id
        partners: as in `Fidelity`
        n_draws: as in `Fidelity`
    """

    model: str
    partners: Count
    n_draws: Count


@dataclass(frozen=True)
class MeasureFidelity(Compared):
    """What `measure_fidelity` is told, beside `Compared`.

    Attributes:
        facts: id
        locator: a file in workflow/caploc/locators
        rewrites: as in `Fidelity`
        ratio: of the largest score, for locators that cut there; averaged scores are cut so too
        masks: for locators of neurons: rules of averaged scores, by name
        share: for locators that refine: share of the prompts of a fact that locate a neuron
    """

    facts: str
    locator: str
    rewrites: Count
    ratio: Share | None = None
    masks: dict[str, dict[str, Any]] = field(default_factory=dict)
    share: Share | None = None


@dataclass(frozen=True)
class MeasureKnOnTasks(Compared):
    """What `measure_kn_on_tasks` is told, beside `Compared`.

    Attributes:
        method: id of the attributions that are read
        tasks: ids
        ratio: a neuron is located from this share of the largest score
        samples: of each task, as `task_samples` in `Fidelity`
    """

    method: str
    tasks: tuple[str, ...]
    ratio: Share
    samples: Count


@dataclass(frozen=True)
class TabulateTracing(Averaged):
    """What `tabulate_tracing` is told, beside `Averaged`.

    Attributes:
        shown: single facts whose maps are in the table
    """

    shown: Count


SECTIONS = {"fidelity": locator_settings.with_sections(Fidelity)}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"fidelity": ("fidelity", "tracing")}
