"""What this experiment may be told in the configuration."""

from dataclasses import dataclass
from typing import Annotated

from caploc import locator_settings
from caploc.settings import Count, Rule

__all__ = ["Fidelity"]


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


SECTIONS = {"fidelity": locator_settings.with_sections(Fidelity)}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"fidelity": ("fidelity", "tracing")}
