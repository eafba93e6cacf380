"""What this experiment may be told in the configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from caploc.settings import Count, Positive, Rule, Share

__all__ = ["Circuit", "Fidelity", "Kn", "KnActivation", "Rome"]


@dataclass(frozen=True, slots=True)
class Kn:
    """Knowledge neurons.

    Attributes:
        rule: path points and weights
        steps: S of the path rule
        max_answer_tokens: longer answers: a seeded uniform sample of this many answer positions
        batch_rows: rows in flight; bounds memory
        ratio: located from this share of the largest score of the prompt
        share: share of the prompts that must agree in refinement; adapted to 2 to 5 neurons a
            fact
    """

    rule: Literal["inclusive", "linspace", "left", "right", "midpoint", "gauss-legendre"] = (
        "linspace"
    )
    steps: Count = 20
    max_answer_tokens: Count = 64
    batch_rows: Count = 4096
    ratio: Share = 0.2
    share: Share = 0.7


@dataclass(frozen=True, slots=True)
class KnActivation:
    """Baseline of knowledge neurons: the value of the neuron.

    Attributes:
        ratio: located from this share of the largest value of the prompt
    """

    ratio: Share = 0.5


@dataclass(frozen=True, slots=True)
class Rome:
    """Causal tracing.

    Attributes:
        noise: noise on the subject, in standard deviations of subject embeddings
        noise_samples: fixed noise samples
        window: blocks that are restored together
        top: layers of the second rule; the first takes the best one
    """

    noise: Positive = 3.0
    noise_samples: Count = 10
    window: Count = 10
    top: Count = 5


@dataclass(frozen=True, slots=True)
class Circuit:
    """Knowledge circuits by edge attribution.

    Attributes:
        rule: path points and weights
        steps: S of the path rule
        shares: shares of the edges that are taken, each a rule; the first is the headline
    """

    rule: Literal["inclusive", "linspace", "left", "right", "midpoint", "gauss-legendre"] = "right"
    steps: Count = 100
    shares: Annotated[tuple[Share, ...], Rule(minItems=1)] = (0.026, 0.01, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Do the locators of single facts find the same units for a rewritten prompt?.

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
        refine_prompts: prompts of a fact that knowledge neurons are refined over; refinement
            needs 3
        task_samples: samples of each task whose knowledge neurons are compared
        kn: knowledge neurons
        kn_activation: baseline of knowledge neurons: the value of the neuron
        rome: causal tracing
        circuit: knowledge circuits by edge attribution
    """

    facts: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)] = ("invented",)
    locators: Annotated[
        tuple[Literal["kn", "kn_activation", "rome", "circuit"], ...],
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
    kn: Kn = field(default_factory=Kn)
    kn_activation: KnActivation = field(default_factory=KnActivation)
    rome: Rome = field(default_factory=Rome)
    circuit: Circuit = field(default_factory=Circuit)


SECTIONS = {"fidelity": Fidelity}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"fidelity": ("fidelity", "tracing")}
