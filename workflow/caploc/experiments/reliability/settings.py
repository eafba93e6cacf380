"""What this experiment may be told in the configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from caploc import locator_settings
from caploc.settings import Count, Natural, Positive, Rule, Seed, Share

__all__ = ["AblateUnits", "Circuit", "EditFacts", "MeasureAblation", "MeasureReliability",
           "Reliability", "Rome", "Shared", "SumKeys", "ValidateCircuit", "ValidateKn"]  # fmt: skip


@dataclass(frozen=True)
class Editing:
    """How an object is written into a fact, and what is asked afterwards.

    Attributes:
        ridge: added to the diagonal of a second moment that cannot be inverted, relative to its
            mean
        prefixes: [number, tokens] of random texts in front of the prompt
        steps: gradient steps for the value
        learning_rate: of these steps
        weight_decay: weight of the norm of the change, relative to the squared norm of the old
            value
        kl: weight of the change of what follows '<subject> is a'
        clamp: largest norm of the change in units of the old value
        paraphrases: most rewrites that an edit is tested with
        neighbours: most prompts about other subjects that an edit should leave alone
        fluency_tokens: tokens generated for the n-gram entropy after every edit; 0 leaves it
            out
        batch_facts: facts whose values are searched together; memory and speed only
        edited_layers: edit this many layers, evenly spread, and `layer`; null: every layer
        layer: the layer that counts as located for all facts (GPT-J 5, GPT2-XL 17 in the
            published settings); null: of those edited the one with the largest mean tracing effect
    """

    ridge: Positive = 0.01
    prefixes: tuple[Annotated[tuple[Count, ...], Rule(minItems=2, maxItems=2)], ...] = (
        (10, 5),
        (10, 10),
    )
    steps: Count = 20
    learning_rate: Positive = 0.5
    weight_decay: Annotated[float, Rule(minimum=0)] = 0.5
    kl: Annotated[float, Rule(minimum=0)] = 0.0625
    clamp: Positive = 4.0
    paraphrases: Count = 2
    neighbours: Count = 10
    fluency_tokens: Natural = 100
    batch_facts: Count = 10
    edited_layers: Annotated[int | None, Rule(type=["integer", "null"], minimum=2)] = None
    layer: Annotated[int | None, Rule(type=["integer", "null"], minimum=0)] = None


@dataclass(frozen=True)
class Moments:
    """Second moments of the keys.

    Attributes:
        texts: most samples of the run's neutral text that the second moment of the keys is
            taken over
        memory_mb: megabytes for second moments in the making; fewer, more passes over the text
    """

    texts: Count = 100000
    memory_mb: Count = 2000


@dataclass(frozen=True)
class Rome(Editing, Moments):
    """Rank-one edits of the layers, one at a time."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """Circuits run alone.

    Attributes:
        ablation: what the edges outside the circuit carry
        shares: which of experiments.fidelity.circuit.shares are run alone; others are passed
            over
    """

    ablation: Literal["zero", "counterfactual"] = "zero"
    shares: Annotated[tuple[Share, ...], Rule(minItems=1, uniqueItems=True)] = (0.026, 0.1)


@dataclass(frozen=True, slots=True)
class Shared:
    """What silencing at equal cost does to the answer and to neutral text, for all locators.

    Attributes:
        locators: locators of single facts that put units into an order; the mean scores of the
            first one of neurons are an order too
        budgets: weights that may be zeroed: shares of the weights of all FFN neurons and
            attention heads, or ffn_layer, as many as one FFN layer has
        draws: R, random sets of the same units; the smallest p is 1 / (R + 1)
        texts: samples of the test split of the run's neutral text whose log-probability is
            taken under every set
    """

    locators: Annotated[
        tuple[Annotated[str, Rule(enum=locator_settings.ranking())], ...],
        Rule(minItems=1, uniqueItems=True),
    ] = ("kn", "rome", "circuit")
    budgets: Annotated[
        tuple[
            Annotated[
                Any,
                Rule(
                    anyOf=[
                        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                        {"enum": ["ffn_layer"]},
                    ]
                ),
            ],
            ...,
        ],
        Rule(minItems=1, uniqueItems=True),
    ] = (0.001, 0.01, "ffn_layer")
    draws: Count = 99
    texts: Count = 6


@dataclass(frozen=True, slots=True)
class Reliability:
    """Locators of single facts by their own validations: located against the best of random.

    The located sets are those of `fidelity`, with its settings. The primary numbers:
    knowledge neurons, suppress and enhance, random by layer; circuits, Hit@10, first share of
    edges; edits, efficacy of the fixed layer.

    Attributes:
        facts: ids of sets of facts
        draws: R, random sets the best of which located sets are compared with; the largest of
            more draws is larger
        minimum: fewer known facts than this: 'not computed'
        rome: rank-one edits of every layer
        circuit: circuits run alone
        shared: one metric for all locators, what silencing at equal cost does to the answer and
            to neutral text
    """

    facts: Annotated[tuple[str, ...], Rule(minItems=1, uniqueItems=True)] = ("invented",)
    draws: Count = 10
    minimum: Annotated[int, Rule(minimum=2)] = 10
    rome: Rome = field(default_factory=Rome)
    circuit: Circuit = field(default_factory=Circuit)
    shared: Shared = field(default_factory=Shared)


@dataclass(frozen=True, kw_only=True)
class OfModel:
    """One model, and where it computes.

    Attributes:
        model: id
        family: of the model
        dtype: in which it computes
        device: on which it computes
    """

    model: str
    family: str
    dtype: str
    device: str


@dataclass(frozen=True, kw_only=True)
class OfFacts:
    """One set of facts, asked of one model.

    Attributes:
        model: id
        facts: id
        seed: of whatever is drawn, and of intervals
    """

    model: str
    facts: str
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class SumKeys(OfModel, Moments):
    """What `sum_keys` is told."""


@dataclass(frozen=True, kw_only=True)
class ValidateKn(OfFacts, OfModel):
    """What `validate_kn` is told.

    Attributes:
        draws: as in `Reliability`; one more is drawn for the null row
    """

    draws: Count


@dataclass(frozen=True, kw_only=True)
class ValidateCircuit(ValidateKn, Circuit):
    """What `validate_circuit` is told."""


@dataclass(frozen=True, kw_only=True)
class EditFacts(OfFacts, OfModel, Editing):
    """What `edit_facts` is told."""


@dataclass(frozen=True, kw_only=True)
class AblateUnits(OfFacts, OfModel, Shared):
    """What `ablate_units` is told.

    Attributes:
        shard: number, from 0
        shard_size: facts in a shard
    """

    shard: Natural
    shard_size: Count


@dataclass(frozen=True, kw_only=True)
class MeasureReliability(OfFacts):
    """What `measure_reliability` is told.

    Attributes:
        minimum: as in `Reliability`
        layer: as in `Rome`
    """

    minimum: int
    layer: int | None


@dataclass(frozen=True, kw_only=True)
class MeasureAblation(OfFacts):
    """What `measure_ablation` is told.

    Attributes:
        minimum: as in `Reliability`
        draws: as in `Shared`
    """

    minimum: int
    draws: Count


SECTIONS = {"reliability": Reliability}
# What a name under run.experiments adds to the tables of the run.
TABLES = {"reliability": ("reliability",)}
