"""Do rewrites of a prompt locate the same units? Overlaps of facts, and what to compare them with.

For every fact the set of its original prompt is compared with the set of a rewrite, and with

    same answer       a rewrite about another subject, same relation, same object
    same relation     a rewrite about another subject, same relation, another object
    same wording      the original prompt of such a fact: other fact, (nearly) the same words
    other relation    a rewrite of a fact of another relation
    random uniform    as many units as the original located, drawn from all units
    random by layer   as many units in every layer as the original located

A fact has one value per comparison, the mean over its pairs; facts are what is resampled. A pair
with an empty set has no value: it is counted.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from caploc.experiments.fidelity.settings import Compared
from caploc.files.tables import COUNT, NUMBER, TEXT, Schema, texts
from caploc.measures import agreement
from caploc.measures.random_sets import draw_like

__all__ = ["COMPARISONS", "CONTROLS", "METRICS", "FactSets", "compare", "grow"]

Grid = NDArray[np.bool_]

CONTROLS = (
    "same answer", "same relation", "same wording", "other relation", "random uniform",
    "random by layer",
)  # fmt: skip
COMPARISONS = ("rewrite", *CONTROLS)
METRICS = {"overlap": agreement.overlap, "iou": agreement.iou}
_VALUES: Schema = dict.fromkeys(METRICS, NUMBER)


@dataclass(frozen=True, slots=True)
class FactSets:
    """What the prompts of one fact locate by one rule.

    Attributes:
        fact_id: of the fact.
        relation: of the fact.
        object: of the fact.
        original: (unit,) located by the original prompt.
        rewrites: (unit,) located by each rewrite of one kind that was not left out.
    """

    fact_id: str
    relation: str
    object: str
    original: Grid
    rewrites: list[Grid] = field(default_factory=list)


def compare(facts: Sequence[FactSets], per_layer: Sequence[int], told: Compared) -> pl.DataFrame:
    """Compare every fact with its rewrites and with the controls.

    Args:
        facts: of one rule and one kind of rewrite; one without rewrites takes no part.
        per_layer: units in each layer; a layer of one unit (the unit is the layer) has no draws of
            its own, so "random by layer" is left out there.
        told: partners and draws of a fact depend on nothing but the seed and its id.

    Returns:
        A row for each ``comparison`` and ``fact`` with at least one pair: ``overlap`` and ``iou``,
        means over its pairs that have a value, null without any; ``n_pairs`` that were compared,
        ``n_empty`` of them with an empty set.
    """
    usable = [fact for fact in facts if fact.rewrites]
    rows = []
    for fact in usable:
        rng = random.Random(f"partners {told.seed} {fact.fact_id}")
        draws = np.random.default_rng([told.seed, *fact.fact_id.encode()])
        for name in COMPARISONS:
            pairs: Iterator[tuple[Grid, Grid]]
            if name == "rewrite":
                pairs = ((fact.original, rewrite) for rewrite in fact.rewrites)
            elif name == "random uniform":
                pairs = _drawn(fact, told.n_draws, [fact.original.size], draws)
            elif name == "random by layer":
                n = told.n_draws if max(per_layer, default=1) > 1 else 0
                pairs = _drawn(fact, n, per_layer, draws)
            else:
                chosen = [f for f in usable if _is_partner(name, fact, f)]
                chosen = rng.sample(chosen, min(told.partners, len(chosen)))
                pairs = ((fact.original, _set_of(name, other)) for other in chosen)
            rows.append((name, fact.fact_id, *_measured(pairs)))
    schema = {**texts("comparison", "fact"), **_VALUES, "n_pairs": COUNT, "n_empty": COUNT}
    return pl.DataFrame(rows, schema, orient="row").filter(pl.col("n_pairs") > 0)


def _is_partner(control: str, fact: FactSets, other: FactSets) -> bool:
    if other.fact_id == fact.fact_id:
        return False
    same = other.relation == fact.relation
    if control == "other relation":
        return not same
    return same and (other.object == fact.object) == (control == "same answer")


def _set_of(control: str, other: FactSets) -> Grid:
    return other.original if control == "same wording" else other.rewrites[0]


def _drawn(
    fact: FactSets, n_draws: int, sizes: Sequence[int], rng: np.random.Generator
) -> Iterator[tuple[Grid, Grid]]:
    for rewrite in fact.rewrites:
        for _ in range(n_draws):
            yield draw_like(fact.original, sizes, rng), rewrite


def _measured(pairs: Iterator[tuple[Grid, Grid]]) -> tuple[float | None, float | None, int, int]:
    """Both metrics, number of pairs and of those in which a set is empty."""
    found = [_values(a, b) if a.any() and b.any() else None for a, b in pairs]
    values = [value for value in found if value is not None]
    means = np.mean(np.array(values, dtype=float), axis=0).tolist() if values else (None, None)
    return *means, len(found), len(found) - len(values)


def grow(
    scores: Iterable[NDArray[np.floating]],
    sizes: Sequence[int],
    rules: Mapping[str, Callable[[NDArray[np.float64]], Grid]],
) -> pl.DataFrame:
    """Average scores over more and more facts, and compare originals with rewrites.

    Groups of n facts are disjoint and follow the order given; a rest is left out. One running sum
    for each size is held, whatever the number of facts.

    Args:
        scores: per fact (2, ...) the scores of its original and of its rewrite.
        sizes: facts in a group, each >= 1.
        rules: from mean scores to a located set, by name.

    Returns:
        A row for each group: ``averaged_facts``, ``rule``, ``comparison``, ``overlap`` and ``iou``,
        null where that of empty sets is not defined. Comparisons: ``rewrite`` (the same facts) and
        ``other facts`` (the originals of a group with the rewrites of the next one).
    """
    rows = []
    sums = {n: np.zeros(()) for n in sizes}
    previous: dict[tuple[int, str], Grid] = {}
    for count, of_fact in enumerate(scores, start=1):
        for n in sizes:
            sums[n] = sums[n] + of_fact.astype(np.float64)
            if count % n:
                continue
            for name, rule in rules.items():
                original, rewrite = (rule(total / n) for total in sums[n])
                before = previous.get((n, name))
                rows.append((n, name, "rewrite", *_values(original, rewrite)))
                if before is not None:
                    rows.append((n, name, "other facts", *_values(before, rewrite)))
                previous[n, name] = original
            sums[n] = np.zeros(())
    schema = {"averaged_facts": COUNT, "rule": TEXT, "comparison": TEXT, **_VALUES}
    return pl.DataFrame(rows, schema, orient="row")


def _values(a: Grid, b: Grid) -> tuple[float | None, float | None]:
    return agreement.overlap(a, b), agreement.iou(a, b)
